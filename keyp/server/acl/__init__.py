"""Users and what they may do: the access control list (ACL) of Redis 7.2.

https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
"""
