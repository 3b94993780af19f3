package compare;

import java.time.LocalDate;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.tuple.Tuple6;
import org.apache.flink.api.java.tuple.Tuple7;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

final class Keyed {
  private static final PrimitiveArrayTypeInfo<byte[]> TEXT = PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
  private static final long DAY = 86_400_000;
  private static final TypeInformation<Tuple6<Long, Long, Long, Long, Long, Long>> PRICES =
      Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG, Types.LONG, Types.LONG);

  /** Auction and day are one long as the key: a tuple would be hashed and compared field by field. */
  static void q17(DataStream<Event> bids) {
    bids.map(b -> Tuple3.of(b.id, b.at / DAY, b.price)).returns(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG))
        .keyBy(b -> b.f0 << 20 | b.f1, Types.LONG)
        .process(new PricesOfAuction())
        .returns(Types.GENERIC(Out.class))
        .sinkTo(new Out.Rows(r -> Tally.text(r.a, LocalDate.ofEpochDay(r.b), r.more[0] + r.more[1] + r.more[2], r.more[0], r.more[1], r.more[2],
            r.more[3], r.more[4], r.more[5] / (r.more[0] + r.more[1] + r.more[2]), r.more[5]), r -> Tally.text(r.a, r.b)));
  }

  /** Number by rank, least, greatest, sum. */
  private static final class PricesOfAuction extends KeyedProcessFunction<Long, Tuple3<Long, Long, Long>, Out> {
    private transient ValueState<Tuple6<Long, Long, Long, Long, Long, Long>> prices;
    private transient Out row;

    @Override
    public void open(OpenContext context) {
      prices = getRuntimeContext().getState(new ValueStateDescriptor<>("prices", PRICES));
      row = new Out();
      row.more = new long[6];
    }
    @Override
    public void processElement(Tuple3<Long, Long, Long> bid, Context context, Collector<Out> out) throws Exception {
      Tuple6<Long, Long, Long, Long, Long, Long> p = prices.value();
      row.isNew = p == null;
      if (p == null) p = Tuple6.of(0L, 0L, 0L, Long.MAX_VALUE, 0L, 0L);
      long price = bid.f2;
      if (price < 10_000) p.f0 = p.f0 + 1;
      else if (price < 1_000_000) p.f1 = p.f1 + 1;
      else p.f2 = p.f2 + 1;
      if (price < p.f3) p.f3 = price;
      if (price > p.f4) p.f4 = price;
      p.f5 = p.f5 + price;
      prices.update(p);
      row.a = bid.f0;
      row.b = bid.f1;
      row.more[0] = p.f0;
      row.more[1] = p.f1;
      row.more[2] = p.f2;
      row.more[3] = p.f3;
      row.more[4] = p.f4;
      row.more[5] = p.f5;
      out.collect(row);
    }
  }

  private static final TypeInformation<Tuple7<Long, Long, Long, byte[], byte[], Long, byte[]>> BID =
      Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, TEXT, TEXT, Types.LONG, TEXT);

  /** Bidder and auction are one long as the key. */
  static void q18(DataStream<Event> bids) {
    bids.map(b -> Tuple7.of(b.id, b.bidder, b.price, b.channel, b.url, b.at, b.extra)).returns(BID)
        .keyBy(b -> b.f1 << 32 | b.f0, Types.LONG)
        .process(new LastBid())
        .returns(Types.GENERIC(Out.class))
        .sinkTo(new Out.Rows(r -> Tally.text(r.a, r.b, r.c, r.x, r.y, r.d, r.z), r -> Tally.text(r.a, r.b)));
  }

  private static final class LastBid extends KeyedProcessFunction<Long, Tuple7<Long, Long, Long, byte[], byte[], Long, byte[]>, Out> {
    private transient ValueState<Tuple7<Long, Long, Long, byte[], byte[], Long, byte[]>> last;
    private transient Out row;

    @Override
    public void open(OpenContext context) {
      last = getRuntimeContext().getState(new ValueStateDescriptor<>("last", BID));
      row = new Out();
    }
    @Override
    public void processElement(Tuple7<Long, Long, Long, byte[], byte[], Long, byte[]> bid, Context context, Collector<Out> out) throws Exception {
      Tuple7<Long, Long, Long, byte[], byte[], Long, byte[]> former = last.value();
      if (former != null && bid.f5 < former.f5) return;
      last.update(bid);
      row.isNew = former == null;
      row.a = bid.f0;
      row.b = bid.f1;
      row.c = bid.f2;
      row.x = bid.f3;
      row.y = bid.f4;
      row.d = bid.f5;
      row.z = bid.f6;
      out.collect(row);
    }
  }
}
