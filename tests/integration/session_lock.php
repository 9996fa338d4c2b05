<?php
// What test_debian_programs.py runs: one request of a visitor, who counts visits in a session that is locked meanwhile.
// php session_lock.php PORT ROUNDS   The lock is given back by a script.
[, $port, $rounds] = $argv;
ini_set("session.save_handler", "redis");
ini_set("session.save_path", "tcp://127.0.0.1:$port?prefix=session:");
ini_set("session.use_cookies", "0");
ini_set("session.cache_limiter", "");
ini_set("redis.session.locking_enabled", "1");
ini_set("redis.session.lock_wait_time", "1000");
ini_set("redis.session.lock_retries", "-1");
ini_set("redis.session.lock_expire", "60");
for ($round = 0; $round < $rounds; $round++) {
    session_id("visitor");
    session_start() or exit(1);
    $_SESSION["visits"] = ($_SESSION["visits"] ?? 0) + 1;
    usleep(500);
    session_write_close();
}
echo "done\n";
