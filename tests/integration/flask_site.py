"""What test_flask_session.py runs: a shop on Flask whose sessions are in Keyp.

KEYP_PORT=… flask --app flask_site run
"""

from __future__ import annotations

import os
from datetime import timedelta

import redis
from flask import Flask, Response, jsonify, session
from flask_session import Session

app = Flask(__name__)
app.config.update(
    SESSION_TYPE="redis",
    SESSION_REDIS=redis.Redis(port=int(os.environ["KEYP_PORT"])),
    PERMANENT_SESSION_LIFETIME=timedelta(hours=1),
)
Session(app)


@app.get("/cart")
def cart() -> Response:
    return jsonify(session.get("cart", []))


@app.get("/add/<what>")
def add(what: str) -> Response:
    session["cart"] = [*session.get("cart", []), what]
    return jsonify(session["cart"])


@app.get("/leave")
def leave() -> Response:
    session.clear()
    return jsonify("left")
