"""Nexmark's queries in SQL over dumped events: what `nexmark --verify` must say for any events, rate and group.

    nexmark_oracle.py EVENTS          prints query, number of rows and checksum (`nexmark --dump-input EVENTS` wrote the events)

Needs DuckDB. Shares nothing with the program but the lines of the events.
"""
import sys

import duckdb

SIDE_ROWS = 10_000

EVENTS = """
create table lines as
select row_number() over () as n, line
from read_csv(?, header=false, delim='\x01', quote='', escape='', parallel=false, columns={'line': 'VARCHAR'});

create table person as
select f[2]::bigint as id, f[3] as name, f[6] as city, f[7] as state, f[8]::bigint as ts
from (select string_split(line, '|') as f from lines where line like 'P|%');

create table auction as
select f[2]::bigint as id, f[6]::bigint as reserve, f[7]::bigint as ts, f[8]::bigint as expires, f[9]::bigint as seller,
       f[10]::bigint as category
from (select string_split(line, '|') as f from lines where line like 'A|%');

create table bid as
select n, f[2]::bigint as auction, f[3]::bigint as bidder, f[4]::bigint as price, f[5] as channel, f[6] as url, f[7]::bigint as ts, f[8] as extra,
       case when price < 10000 then 1 when price < 1000000 then 2 else 3 end as rank,
       strftime(make_timestamp(ts * 1000), '%Y-%m-%d') as day, strftime(make_timestamp(ts * 1000), '%H:%M') as minute
from (select n, string_split(line, '|') as f from lines where line like 'B|%');
"""

# Bids that count for an auction and their order, by either rule.
WINNERS = """
select a.id, a.category, a.seller, b.auction, b.bidder, b.price, b.ts
from auction a join bid b on b.auction = a.id and {rule}
qualify row_number() over (partition by a.id order by b.price desc, b.ts, b.n) = 1
"""
HIGHEST = WINNERS.format(rule="b.ts between a.ts and a.expires")
RESERVE = WINNERS.format(rule="b.ts >= a.ts and b.ts < a.expires and b.price >= a.reserve")

STATISTICS = ", ".join(
    ["count(*)"] + [f"count(*) filter (rank = {r})" for r in (1, 2, 3)]
    + [part for who in ("bidder", "auction")
       for part in [f"count(distinct {who})"] + [f"count(distinct {who}) filter (rank = {r})" for r in (1, 2, 3)]])

QUERIES = {
    "q0": "select auction, bidder, price, ts, extra from bid",
    "q1": "select auction, bidder, 908 * price, ts, extra from bid",
    "q2": "select auction, price from bid where auction % 123 = 0",
    "q3": """select name, city, state, a.id from person p join auction a on a.seller = p.id
             where category = 10 and state in ('or', 'id', 'ca')""",
    "q4": f"select category, sum(price)::bigint // count(*) from ({HIGHEST}) group by category",
    "q5": """with counts as (
               select (ts // 2000 + 1 + step) * 2000 as window_end, auction, count(*) as bids
               from bid, (select unnest(range(5)) as step) group by all)
             select window_end, auction, bids from counts qualify bids = max(bids) over (partition by window_end)""",
    "q6": f"""select seller, (2 * sum(price)::bigint + count(*)) // (2 * count(*)) from (
               select seller, price from ({RESERVE}) qualify row_number() over (partition by seller order by ts desc, price desc) <= 10)
             group by seller""",
    "q7": "select auction, price, bidder, ts, extra from bid qualify price = max(price) over (partition by ts // 10000)",
    "q8": """select id, name, ts // 10000 * 10000 from person p
             where exists (select 1 from auction a where a.seller = p.id and a.ts // 10000 = p.ts // 10000)""",
    "q9": f"select id, auction, bidder, price, ts from ({HIGHEST})",
    "q10": "select auction, bidder, price, ts, extra from bid",
    # A bid that touches the end of a session belongs to it.
    "q11": """with begins as (
                select bidder, ts, coalesce(ts > lag(ts) over (partition by bidder order by ts) + 10000, true) as begins from bid),
              numbered as (
                select bidder, ts, sum(begins::int) over (partition by bidder order by ts, begins desc rows unbounded preceding) as session
                from begins)
              select bidder, count(*), min(ts), max(ts) + 10000 from numbered group by bidder, session""",
    "q13": f"select auction, bidder, price, ts, auction % {SIDE_ROWS} from bid",
    "q14": """select auction, bidder, 908 * price,
                case when hour between 8 and 18 then 'dayTime' when hour <= 6 or hour >= 20 then 'nightTime' else 'otherTime' end,
                ts, extra, length(extra) - length(replace(extra, 'c', ''))
              from (select *, ts // 3600000 % 24 as hour from bid) where 908 * price > 1000000000 and 908 * price < 50000000000""",
    "q15": f"select day, {STATISTICS} from bid group by day",
    "q16": f"select channel, day, max(minute), {STATISTICS} from bid group by channel, day",
    "q17": """select auction, day, count(*), count(*) filter (rank = 1), count(*) filter (rank = 2), count(*) filter (rank = 3),
                min(price), max(price), sum(price)::bigint // count(*), sum(price)::bigint from bid group by auction, day""",
    "q18": """select auction, bidder, price, channel, url, ts, extra from bid
              qualify row_number() over (partition by bidder, auction order by ts desc, n desc) = 1""",
    "q19": """select auction, price, row_number() over (partition by auction order by price desc) as place from bid
              qualify place <= 10""",
    "q20": "select b.auction, bidder, price, b.ts, seller from bid b join auction a on a.id = b.auction where category = 10",
    "q21": """select auction, bidder, price, channel, coalesce(
                case channel when 'Apple' then '0' when 'Google' then '1' when 'Facebook' then '2' when 'Baidu' then '3' end,
                regexp_extract(url, '&channel_id=([^&]*)', 1))
              from bid where channel in ('Apple', 'Google', 'Facebook', 'Baidu') or contains(url, '&channel_id=')""",
    "q22": "select auction, bidder, price, channel, string_split(url, '/')[4], string_split(url, '/')[5], string_split(url, '/')[6] from bid",
}


def fnv(text):
    value = 0xcbf29ce484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value


class Oracle:
    """The events of one file."""

    def __init__(self, events):
        self.db = duckdb.connect()
        self.db.execute("set threads = 1")
        for statement in EVENTS.strip().split(";\n\n"):
            self.db.execute(statement, [str(events)] if "?" in statement else None)

    def answer(self, query):
        """The number of rows and their checksum."""
        rows = self.db.execute(QUERIES[query]).fetchall()
        return len(rows), f"{sum(fnv('|'.join(map(str, row))) for row in rows) % 2**64:016x}"


def main():
    oracle = Oracle(sys.argv[1])
    for query in QUERIES:
        print(query, *oracle.answer(query))


if __name__ == "__main__":
    main()
