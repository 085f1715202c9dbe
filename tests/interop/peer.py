"""py-libp2p against a Punchline peer: connects, asks who it is, pings, sends a one-shot message and takes one.

Usage: peer.py MULTIADDR. Prints one JSON object a line; ends when it has received a message.
"""

import json
import os
import sys

import trio
import varint
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.host.ping import ID as PING
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.peer.peerinfo import info_from_p2p_addr
from multiaddr import Multiaddr

MSG = "/p2p/msg/1.0.0"
PATIENCE = 60


def say(**what):
    print(json.dumps(what), flush=True)


async def read_packet(stream):
    length, shift = 0, 0
    while True:
        byte = (await stream.read(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    packet = b""
    while len(packet) < length:
        packet += await stream.read(length - len(packet))
    return packet


async def main(address):
    quic = "quic-v1" in address
    listen = "/ip4/127.0.0.1/udp/0/quic-v1" if quic else "/ip4/127.0.0.1/tcp/0"
    host = new_host(key_pair=create_new_key_pair(), enable_quic=quic)
    received = trio.Event()

    async def take(stream):
        packet = await read_packet(stream)
        say(message=packet.decode())
        received.set()

    host.set_stream_handler(MSG, take)
    async with host.run(listen_addrs=[Multiaddr(listen)]):
        with trio.fail_after(PATIENCE):
            info = info_from_p2p_addr(Multiaddr(address))
            await host.connect(info)
            say(connected=str(info.peer_id), us=str(host.get_id()))
            if not quic:
                # Over QUIC it loses the answer more often than not: docs/protocol.md.
                stream = await host.new_stream(info.peer_id, [IDENTIFY])
                identify = Identify()
                identify.ParseFromString(await read_packet(stream))
                say(agent=identify.agent_version, protocols=list(identify.protocols))
            stream = await host.new_stream(info.peer_id, [PING])
            sent = os.urandom(32)
            await stream.write(sent)
            back = b""
            while len(back) < 32:
                back += await stream.read(32 - len(back))
            say(ping=back == sent)
            stream = await host.new_stream(info.peer_id, [MSG])
            body = "hello from Python".encode()
            await stream.write(varint.encode(len(body)) + body)
            await stream.close()
            await received.wait()


trio.run(main, sys.argv[1])
