"""The online rows: every user's Redis key must hold the last row, an emptied user has none."""

import socket

import oracle


class Redis:
    """Just enough of the protocol: commands out, replies in."""

    def __init__(self, address):
        """`address`: HOST:PORT[/DB]"""
        place, _, database = address.partition("/")
        host, _, port = place.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._file = self._socket.makefile("rb")
        if database:
            self.ask("SELECT", database)

    def ask(self, *words):
        return self.ask_all([words])[0]

    def ask_all(self, commands):
        """One round trip for all."""
        data = bytearray()
        for words in commands:
            data += b"*%d\r\n" % len(words)
            for word in words:
                word = word if isinstance(word, bytes) else str(word).encode()
                data += b"$%d\r\n%b\r\n" % (len(word), word)
        self._socket.sendall(data)
        return [self._reply() for _ in commands]

    def _reply(self):
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise OSError(f"Redis refused: {rest.decode(errors='replace')}")
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        length = int(rest)
        if length < 0:
            return None
        if kind == b"*":
            return [self._reply() for _ in range(length)]
        return self._file.read(length + 2)[:-2]

    def close(self):
        self._file.close()
        self._socket.close()


def read(address, prefix):
    """{key without prefix: (value, seconds to live; -1 for ever)}"""
    redis = Redis(address)
    try:
        keys, cursor = set(), b"0"
        while True:
            cursor, found = redis.ask("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", 1000)
            keys.update(found)
            if cursor == b"0":
                break
        keys = sorted(keys)
        values = redis.ask_all([("GET", key) for key in keys])
        ttls = redis.ask_all([("TTL", key) for key in keys])
    finally:
        redis.close()
    length = len(prefix.encode())
    return {key[length:].decode(): (value, ttl) for key, value, ttl in zip(keys, values, ttls)
            if value is not None}


def compare(address, prefix, output, parse_row, settings):
    """Prints the verdict; True if every key equals its last row.

    `output.rows` are the rows that were compared with the oracle; `parse_row(text) -> (user, row)`
    raises ValueError.
    """
    online = read(address, prefix)
    longest = max((size + resolution for size, resolution in settings.windows)) // 1000 + 1
    wrong = []
    expected = {user: rows[-1] for user, rows in output.rows.items()
                if not oracle.is_empty(rows[-1])}
    for user in sorted(expected.keys() - online.keys()):
        wrong.append(f"- {oracle.print_row(user, expected[user], settings)}")
    for user in sorted(online.keys() - expected.keys()):
        why = "its user is emptied" if user in output.rows else "no such user"
        wrong.append(f"+ {online[user][0].decode(errors='replace')}  # {why}")
    for user in sorted(expected.keys() & online.keys()):
        value, ttl = online[user]
        try:
            found_user, row = parse_row(value)
            if (found_user, row) != (user, expected[user]):
                last = oracle.print_row(user, expected[user], settings)
                raise ValueError(f"the last row is {last}")
            if not 0 < ttl <= longest:
                raise ValueError(f"lives for {ttl} s, not up to {longest} s")
        except ValueError as error:
            wrong.append(f"! {prefix}{user} = {value.decode(errors='replace')}: {error}")
    emptied = sum(oracle.is_empty(rows[-1]) for rows in output.rows.values())
    print(f"redis: {len(online)} keys, {emptied} emptied users without one")
    for text in wrong[:5]:
        print(f"  {text}")
    if len(wrong) > 5:
        print(f"  and {len(wrong) - 5} more")
    print(f"redis equals the last rows: {'no' if wrong else 'yes'}")
    return not wrong
