"""Tells twistd that there is a service named keyp."""

from twisted.application.service import ServiceMaker

keyp = ServiceMaker("Keyp", "keyp.net.service", "A Redis-compatible key-value server that keeps your keys.", "keyp")
