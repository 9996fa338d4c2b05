r"""Where Keyp and the reference are known to differ, and why: the one list of them.

An entry is a conversation like a row; its last command is answered differently, and `theirs` and `ours` say how
(regular expressions that match all of the RESP2 bytes). A test runs every entry, so that one which is no longer true
shows. Rows and random sequences avoid what stands here.
"""

from __future__ import annotations


class Difference:
    """`valkey_only`: Redis 7.2 does as Keyp does; only Valkey has moved on.

    A command that Redis lacks (`OWN`) has an entry here in place of a row: they say UNKNOWN.
    """

    def __init__(self, row: str, theirs: bytes, ours: bytes, reason: str, valkey_only: bool = True) -> None:
        self.row = row
        self.theirs = theirs
        self.ours = ours
        self.reason = reason
        self.valkey_only = valkey_only


UNKNOWN = rb"-ERR unknown command.*"
OK = rb"\+OK\r\n"
NULL = rb"\$-1\r\n"
NOT_AN_INTEGER = rb"-ERR value is not an integer or out of range\r\n"
SYNTAX = rb"-ERR syntax error\r\n"
NOTHING_SCANNED = rb"\*2\r\n\$1\r\n0\r\n\*0\r\n"
ONE_FIELD_SCANNED = rb"\*2\r\n\$1\r\n0\r\n\*2\r\n\$1\r\na\r\n\$1\r\n1\r\n"
BAD_CURSOR = rb"-ERR invalid cursor\r\n"
BAD_ID = rb"-ERR client-id should be greater than 0\r\n"
NO_ONE_LISTED = rb"\$0\r\n\r\n"
NOT_A_WEIGHT = rb"-ERR One or more scores can't be converted into double\r\n"
STRICT = "Redis sorts by what strtod makes of a text; Valkey reads numbers in another way"
NO_CLUSTER = rb"-ERR This instance has cluster support disabled\r\n"
NOT_QUEUED = rb"-ERR Command not allowed inside a transaction\r\n"


NOT_A_FLOAT = rb"-ERR value is not a valid float\r\n"
NOT_A_BOUND = rb"-ERR min or max is not a float\r\n"
MEMBER_A = rb"\*1\r\n\$1\r\na\r\n"


def forbidden(command: bytes) -> bytes:
    """Valkey's refusal to queue a command."""
    return rb"-ERR Command '%s' not allowed inside a transaction\r\n" % command


BAD_STREAM_ID = rb"-ERR Invalid stream ID specified as stream command argument\r\n"
LAGGING = (
    "XADD s 1 f v\nXADD s 2 f v\nXADD s 3 f v\nXGROUP CREATE s g 0\nXREADGROUP GROUP g c COUNT 1 STREAMS s >\nXDEL s 2"
)


USER_IN_REDIS = rb".*user ann on nopass sanitize-payload ~a resetchannels -@all \+get \(%R~b resetchannels -@all\).*"
USER_IN_VALKEY = USER_IN_REDIS.replace(b" sanitize-payload", b"")
NOT_A_RULE = rb"-ERR Error in ACL SETUSER modifier '.*': Syntax error\r\n"
NO_ACL_FILE = rb"-ERR This %binstance is not configured to use an ACL file. .*"

OF_USERS = [
    Difference(
        "ACL SETUSER ann on nopass ~a +get (%R~b)\nACL LIST",
        USER_IN_VALKEY,
        USER_IN_REDIS,
        "Redis 7.2 shows a flag that all users have; Valkey does not",
    ),
    Difference(
        "ACL SETUSER ann ~a &b +get\nACL GETUSER ann",
        rb"\*14\r\n.*databases.*",
        rb"\*12\r\n\$5\r\nflags\r\n\*2\r\n\$3\r\noff\r\n\$16\r\nsanitize-payload\r\n.*",
        "Valkey 9 has rights for databases, and does not show a flag that all users have",
    ),
    Difference("ACL SETUSER ann '+get|a b'", OK, NOT_A_RULE, "a file of users could not say it", valkey_only=False),
    Difference("ACL SETUSER ann '(~a))'", OK, NOT_A_RULE, "a file of users could not say it", valkey_only=False),
    Difference(
        "ACL SETUSER ann %RW~* ~b\nACL LIST",
        rb".*user ann off .*~\* ~b .*",
        rb".*user ann off .*%RW~\* ~b .*",
        "a file of users could not say it: no pattern may follow ~*",
        valkey_only=False,
    ),
    Difference("ACL LOAD", NO_ACL_FILE % b"", NO_ACL_FILE % b"Redis ", "Valkey does not call itself Redis"),
    Difference("ACL SAVE", NO_ACL_FILE % b"", NO_ACL_FILE % b"Redis ", "Valkey does not call itself Redis"),
    Difference("ACL HELP", rb".*<username> <rule>.*", rb".*<username> <attribute>.*", "Valkey calls them rules"),
]

IN_VALKEY_9 = [
    Difference("SET k v IFEQ v", rb"\$-1\r\n", SYNTAX, "SET compares before it writes: Valkey 8.1's own option"),
    Difference("DELIFEQ k v", rb":0\r\n", rb"-ERR unknown command 'DELIFEQ'.*", "a command of Valkey's own"),
    Difference("GETEX nosuch EX abc", rb"-ERR value is not an integer.*", NULL, "Valkey looks at the time first"),
    Difference("GETEX nosuch EX 0", rb"-ERR invalid expire time.*", NULL, "Valkey looks at the time first"),
    Difference("RPUSH l a\nGETEX l EX 0", rb"-ERR invalid expire time.*", rb"-WRONGTYPE.*", "and so does it here"),
    Difference(
        'BITFIELD k GET "u8\\x00x" 0',
        rb"-ERR Invalid bitfield type.*",
        rb"\*1\r\n:0\r\n",
        "in Redis the type ends at a zero byte",
    ),
    Difference('! SET k "abc"d\\r\\n', OK, rb"-ERR Protocol error: unbalanced.*", "Valkey lets quotes end in a word"),
    Difference(
        "! *1\\r\\n$4\\r\\nPINGxx",
        rb"-ERR Protocol error: invalid CRLF in request\r\n",
        rb"\+PONG\r\n",
        "Redis does not look at the two bytes that end an argument; Valkey 9 does",
    ),
    Difference("SCAN -1", BAD_CURSOR, NOTHING_SCANNED, "Valkey reads cursors more strictly than strtoul does"),
    Difference('SCAN ""', BAD_CURSOR, NOTHING_SCANNED, "Valkey reads cursors more strictly than strtoul does"),
    Difference('SCAN " 0"', NOTHING_SCANNED, BAD_CURSOR, "Redis refuses leading spaces, Valkey no longer does"),
    Difference("HSET h a 1\nHSCAN h -1", BAD_CURSOR, ONE_FIELD_SCANNED, "Valkey reads cursors more strictly"),
    Difference('HSET h a 1\nHSCAN h " 0"', ONE_FIELD_SCANNED, BAD_CURSOR, "Valkey allows leading spaces"),
    Difference("SSCAN s -1", BAD_CURSOR, NOTHING_SCANNED, "Valkey reads cursors more strictly than strtoul does"),
    Difference("HSET h a 1\nHSCAN h 0 NOVALUES", rb"\*2\r\n\$1\r\n0\r\n.*", SYNTAX, "newer than Redis 7.2"),
    Difference("SADD s a\nSSCAN s 0 NOVALUES", rb"-ERR NOVALUES option.*", SYNTAX, "newer than Redis 7.2"),
    Difference(
        "SCAN 0 TYPE x", rb"-ERR unknown type name 'x'\r\n", NOTHING_SCANNED, "Redis 7.2 knows no such error yet"
    ),
    Difference(
        "SET x{600} a\nOBJECT ENCODING x{600}",
        rb"\$3\r\nraw\r\n",
        rb"\$6\r\nembstr\r\n",
        "Valkey embeds a value with its key's name if both fit",
    ),
    Difference(
        "SET a x{45}\nOBJECT ENCODING a",
        rb"\$6\r\nembstr\r\n",
        rb"\$3\r\nraw\r\n",
        "Valkey embeds longer values too",
    ),
    Difference(
        "SET a 9999\nOBJECT REFCOUNT a", rb":1\r\n", rb":2147483647\r\n", "Valkey 9 no longer shares small integers"
    ),
    Difference('RPUSH l ""\nSORT l', NOT_A_WEIGHT, rb"\*1\r\n\$0\r\n\r\n", STRICT),
    Difference('RPUSH l " 1"\nSORT l', NOT_A_WEIGHT, rb"\*1\r\n\$2\r\n 1\r\n", STRICT),
    Difference("RPUSH l 0x10\nSORT l", NOT_A_WEIGHT, rb"\*1\r\n\$4\r\n0x10\r\n", STRICT),
    Difference("RPUSH l 1e-310\nSORT l", rb"\*1\r\n\$6\r\n1e-310\r\n", NOT_A_WEIGHT, STRICT),
    Difference("SET k abc\nBITCOUNT k 1", rb":7\r\n", SYNTAX, "the end of BITCOUNT's range is optional in Valkey"),
    Difference("BITCOUNT k 0 x XX", SYNTAX, NOT_AN_INTEGER, "Valkey looks at the unit before the end"),
    Difference(
        'BITFIELD k GET "i8\\x00z" 0',
        rb"-ERR Invalid bitfield type.*",
        rb"\*1\r\n:0\r\n",
        "Redis reads a field's type as a C string",
    ),
    Difference("MULTI\nMULTI", forbidden(b"multi"), rb"-ERR MULTI calls can not be nested\r\n", "Valkey's new text"),
    Difference("MULTI\nWATCH k", forbidden(b"watch"), rb"-ERR WATCH inside MULTI is not.*", "Valkey's new text"),
    Difference("MULTI\nSAVE", forbidden(b"save"), NOT_QUEUED, "Valkey's new text"),
    Difference("MULTI\nSHUTDOWN NOSAVE", forbidden(b"shutdown"), NOT_QUEUED, "Valkey's new text"),
    Difference("MULTI\nCLIENT REPLY SKIP", forbidden(rb"client\|reply"), NOT_QUEUED, "Valkey's new text"),
    Difference(
        "RPUSH l a\nLREM l -9223372036854775808 a",
        rb"-ERR value is out of range, value must between.*",
        rb":1\r\n",
        "Valkey refuses the one count that has no positive counterpart",
    ),
    Difference(
        "RPUSH l a\nLSET l 4294967296 x",
        OK,
        rb"-ERR index out of range\r\n",
        "LSET of a small list looks at no more than 32 bits of the index",
    ),
    Difference(
        "CONFIG SET maxmemory 18446744073709551616",
        rb"-ERR CONFIG SET failed .* - argument must be a memory value\r\n",
        OK,
        "Valkey refuses a size that 64 bits do not hold",
    ),
    Difference(r"CLUSTER KEYSLOT k", rb":\d+\r\n", NO_CLUSTER, "Valkey tells the slot without a cluster"),
    *[
        Difference(
            "CLUSTER REPLICATE" + count * " 1",
            NO_CLUSTER,
            rb"-ERR wrong number of arguments for 'cluster\|replicate' command\r\n",
            "Valkey 9 knows CLUSTER REPLICATE NO ONE",
        )
        for count in range(2, 7)
    ],
    Difference("READONLY", OK, NO_CLUSTER, "Valkey's replicas without a cluster"),
    Difference("READWRITE", OK, NO_CLUSTER, "Valkey's replicas without a cluster"),
    Difference("CLIENT LIST ID abc", SYNTAX, rb"-ERR Invalid client ID\r\n", "Valkey's new filters share one parser"),
    Difference("CLIENT LIST ID 0", BAD_ID, NO_ONE_LISTED, "Valkey's new filters share one parser"),
    Difference("CLIENT LIST ID -1", BAD_ID, NO_ONE_LISTED, "Valkey's new filters share one parser"),
    Difference("CLIENT LIST TYPE normal ID 999999", NO_ONE_LISTED, SYNTAX, "Valkey's new filters share one parser"),
    Difference("CLIENT KILL ID abc", SYNTAX, BAD_ID, "Valkey's new filters share one parser"),
    Difference("CLIENT KILL MAXAGE 99999999", rb":0\r\n", SYNTAX, "MAXAGE is newer than Redis 7.2"),
    Difference("ZADD k 0x10 a", NOT_A_FLOAT, rb":1\r\n", "Valkey no longer reads C's hexadecimal floats"),
    Difference("ZADD k 16 a\nZRANGEBYSCORE k 0x10 20", NOT_A_BOUND, MEMBER_A, "nor in ranges"),
    Difference('ZADD k 1 a\nZRANGEBYSCORE k " 1" 2', NOT_A_BOUND, MEMBER_A, "nor the spaces that strtod passes over"),
    Difference(
        "ZADD k 1 x{65} 2 a\nZRANGEBYSCORE k 1 2 LIMIT -1 1",
        MEMBER_A,
        rb"\*0\r\n",
        "Valkey counts negative offsets from the end of a large set's range",
    ),
    Difference("ZADD k 1 a\nZSCAN k 0 NOSCORES", rb"\*2\r\n.*", SYNTAX, "NOSCORES is newer than Redis 7.2"),
    Difference(
        "ZADD k 1 a\nZADD k XX 0 x{65}\nOBJECT ENCODING k",
        rb"\$8\r\nskiplist\r\n",
        rb"\$8\r\nlistpack\r\n",
        "Valkey makes room before it looks whether a member is added",
    ),
    Difference(
        "GEOADD k 1 1 a\nGEOSEARCH k FROMMEMBER x BYRADIUS 1 km",
        rb"-ERR member x does not exist\r\n",
        rb"-ERR could not decode requested zset member\r\n",
        "Valkey's new text",
    ),
    Difference(
        "GEOSEARCH k FROMLONLAT 1 1 ASC ASC ASC",
        rb"-ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for GEOSEARCH\r\n",
        rb"-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH\r\n",
        "BYPOLYGON is an option of Valkey's own",
    ),
    Difference("GEOSEARCH k BYPOLYGON 3 1 1 2 2 3 1", rb"\*0\r\n", SYNTAX, "an option of Valkey's own"),
    Difference(
        "CLIENT UNBLOCK 1 ERROR x",
        rb":0\r\n",
        rb"-ERR unknown subcommand or wrong number.*",
        "Valkey ignores what follows",
    ),
    Difference(
        "CLIENT PAUSE 10 WRITE x", OK, rb"-ERR unknown subcommand or wrong number.*", "Valkey ignores what follows"
    ),
    Difference("XADD s 1 f v\nXREAD STREAMS s +", rb"\*1\r\n.*", BAD_STREAM_ID, "newer than Redis 7.2: the last entry"),
    Difference(
        "XGROUP CREATE s g 0 MKSTREAM\nXREADGROUP GROUP g c STREAMS s +",
        rb"-ERR The \+ ID is meaningless.*",
        BAD_STREAM_ID,
        "newer than Redis 7.2",
    ),
    Difference(
        f"{LAGGING}\nXTRIM s MAXLEN 1\nXINFO GROUPS s",
        rb".*lag\r\n\$-1\r\n",
        rb".*lag\r\n:2\r\n",
        "a group that is behind the first entry: Valkey does not know its lag, Redis 7.2 goes by what it has read",
    ),
]

KEYPS_OWN = [
    Difference(
        "SET k 1\nWATCH nosuch\nb> SET nosuch 1\nb> DEL nosuch\nMULTI\nEXEC",
        rb"\*-1\r\n",
        rb"\*0\r\n",
        "a watched key that came and went, and is as absent as it was, does not fail the EXEC",
        valkey_only=False,
    ),
    Difference(
        "SET k 1\nWATCH k\nb> SWAPDB 0 1\nb> SWAPDB 0 1\nMULTI\nEXEC",
        rb"\*-1\r\n",
        rb"\*0\r\n",
        "a watched key that was swapped away and back is what it was",
        valkey_only=False,
    ),
    Difference(
        "SET a 1 PXAT 1\nSET b 1\nEXISTS a\nDBSIZE",
        rb":1\r\n",
        rb":2\r\n",
        "a read changes nothing: an expired key that was looked for is counted until the sweeper comes by",
        valkey_only=False,
    ),
    Difference(
        "ZADD z 1 1\nSORT z\nOBJECT ENCODING z",
        rb"\$8\r\nskiplist\r\n",
        rb"\$8\r\nlistpack\r\n",
        "a sorted set that is sorted stays as it is",
        valkey_only=False,
    ),
    Difference(
        "PFADD k a b\nPFCOUNT k\nGETRANGE k 8 15",
        rb"\$8\r\n\x02\0\0\0\0\0\0\0\r\n",
        rb"\$8\r\n\0\0\0\0\0\0\0\x80\r\n",
        "a read changes nothing: the cardinality that PFCOUNT finds is not stored",
        valkey_only=False,
    ),
    Difference(
        "PFADD k a b\nWATCH k\nb> PFCOUNT k\nMULTI\nEXEC",
        rb"\*-1\r\n",
        rb"\*0\r\n",
        "a read changes nothing: PFCOUNT does not touch the key",
        valkey_only=False,
    ),
    Difference(
        "SET k 1\nWATCH k\nb> BITFIELD k OVERFLOW FAIL SET u8 8 300\nMULTI\nEXEC",
        rb"\*0\r\n",
        rb"\*-1\r\n",
        "a string that a BITFIELD makes longer has changed, even where overflow forbids the numbers",
        valkey_only=False,
    ),
    Difference(
        "ZADD k 0 x{480} 0 x{530}\nZRANK k x{480}",
        rb":0\r\n",
        rb":1\r\n",
        "members of 480 bytes and more that begin with the same 448 bytes stand in the order of their digests",
        valkey_only=False,
    ),
    Difference(
        "GEOADD k 1 1 a 1 1 b 1 1 c 1 1 d 1 1 e 1 1 f 1.0001 1 g 0.9999 1 h\n"
        "GEOSEARCH k FROMLONLAT 1 1 BYRADIUS 1 km COUNT 1",
        rb"\*1\r\n\$1\r\nf\r\n",
        MEMBER_A,
        "of places at the same distance the one found first comes first; the reference's partial sort mixes them",
        valkey_only=False,
    ),
    Difference(
        'SET k "HYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x70\\x00"\nPFADD k hello a\nGET k',
        rb"\$21\r\n.*",
        rb"\$18\r\n.*\x70\x00\r\n",
        "where one element of several meets the damage none is added: what fails changes nothing",
        valkey_only=False,
    ),
    Difference("SET delete 1\nDELETE delete", rb"-ERR unknown command.*", rb":1\r\n", "an alias of DEL", False),
    Difference(
        "RPUSH l a b c\nMULTI\nCONFIG SET list-max-listpack-size 2\nOBJECT ENCODING l\n"
        "CONFIG SET list-max-listpack-size -2\nEXEC",
        rb"\*3\r\n\+OK\r\n\$8\r\nlistpack\r\n\+OK\r\n",
        rb"\*3\r\n\+OK\r\n\$9\r\nquicklist\r\n\+OK\r\n",
        "the form of a list follows its setting at once, not when it is written",
        valkey_only=False,
    ),
]

DIFFERENCES = OF_USERS + IN_VALKEY_9 + KEYPS_OWN
