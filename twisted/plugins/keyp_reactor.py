"""Tells twistd of the reactor: `twistd --reactor=keyp-epoll keyp`."""

from twisted.application.reactors import Reactor

keyp_epoll = Reactor("keyp-epoll", "keyp.net.reactor", "epoll with a short way for readable sockets (Linux).")
