# The Autobahn test suite, with its server kept on the loopback address: by itself it listens on every one.
#
# Python 2.7. Usage: suite.py {fuzzingclient|fuzzingserver} SPEC

from __future__ import print_function

import sys

# Installs the reactor that the suite wants, which must happen before anything imports one.
from autobahntestsuite import choosereactor  # noqa: F401
from autobahntestsuite import wstest
from twisted.internet import reactor


def listen_on_loopback():
    listen = reactor.listenTCP

    def listen_tcp(port, factory, backlog=50, interface=""):
        listening = listen(port, factory, backlog, interface="127.0.0.1")
        print("listening on ws://127.0.0.1:%d" % listening.getHost().port)
        sys.stdout.flush()
        return listening

    reactor.listenTCP = listen_tcp


if __name__ == "__main__":
    mode, spec = sys.argv[1:]
    listen_on_loopback()
    # Web port 0: the suite would serve the folder that it was started in.
    sys.argv = ["wstest", "--mode", mode, "--spec", spec, "--webport", "0"]
    wstest.run()
