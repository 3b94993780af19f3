package compare;

import java.util.Arrays;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.api.java.tuple.Tuple5;
import org.apache.flink.api.java.tuple.Tuple6;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Joins without a window, as one keyed stream of both sides: one exchange, one look-up a row. */
final class Joins {
  private static final PrimitiveArrayTypeInfo<byte[]> TEXT = PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
  private static final byte[] NONE = {};

  // --- q3 ---

  static void q3(DataStream<Event> events) {
    events.flatMap(new Sides()).returns(Types.TUPLE(Types.LONG, Types.LONG, TEXT, TEXT, TEXT))
        .keyBy(side -> side.f0, Types.LONG)
        .process(new LocalAuctions())
        .returns(Types.GENERIC(Out.class))
        .sinkTo(new Out.Rows(r -> Tally.text(r.x, r.y, r.z, r.a), null));
  }

  /** (person, auction or -1, name, city, state) */
  private static final class Sides implements FlatMapFunction<Event, Tuple5<Long, Long, byte[], byte[], byte[]>> {
    private static boolean isLocal(byte[] state) {
      return Arrays.equals(state, new byte[] {'o', 'r'}) || Arrays.equals(state, new byte[] {'i', 'd'})
          || Arrays.equals(state, new byte[] {'c', 'a'});
    }
    @Override
    public void flatMap(Event e, Collector<Tuple5<Long, Long, byte[], byte[], byte[]>> out) {
      if (e.kind == Events.PERSON) {
        if (isLocal(e.state)) out.collect(Tuple5.of(e.id, -1L, e.name, e.city, e.state));
      } else if (e.category == 10) {
        out.collect(Tuple5.of(e.seller, e.id, NONE, NONE, NONE));
      }
    }
  }

  private static final class LocalAuctions extends KeyedProcessFunction<Long, Tuple5<Long, Long, byte[], byte[], byte[]>, Out> {
    private transient ValueState<Tuple3<byte[], byte[], byte[]>> person;
    private transient ListState<Long> waiting;
    private transient Out row;

    @Override
    public void open(OpenContext context) {
      person = getRuntimeContext().getState(new ValueStateDescriptor<>("person", Types.TUPLE(TEXT, TEXT, TEXT)));
      waiting = getRuntimeContext().getListState(new ListStateDescriptor<>("auctions", Types.LONG));
      row = new Out();
    }
    @Override
    public void processElement(Tuple5<Long, Long, byte[], byte[], byte[]> side, Context context, Collector<Out> out) throws Exception {
      if (side.f1 < 0) {
        Tuple3<byte[], byte[], byte[]> is = Tuple3.of(side.f2, side.f3, side.f4);
        person.update(is);
        Iterable<Long> auctions = waiting.get();
        if (auctions == null) return;
        for (Long auction : auctions) emit(is, auction, out);
        waiting.clear();
        return;
      }
      Tuple3<byte[], byte[], byte[]> is = person.value();
      if (is == null) waiting.add(side.f1);
      else emit(is, side.f1, out);
    }
    private void emit(Tuple3<byte[], byte[], byte[]> is, long auction, Collector<Out> out) {
      row.x = is.f0;
      row.y = is.f1;
      row.z = is.f2;
      row.a = auction;
      out.collect(row);
    }
  }

  // --- q4, q9 ---

  private static final TypeInformation<Tuple6<Long, Long, Long, Long, Long, Long>> SIX =
      Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG, Types.LONG, Types.LONG);

  /** (auction, bidder or -1, price, time) of a bid, (auction, -1, expires, time, category) of an auction. */
  private static SingleOutputStreamOperator<Tuple5<Long, Long, Long, Long, Long>> sides(DataStream<Event> events) {
    return events.map(e -> e.isBid() ? Tuple5.of(e.id, e.bidder, e.price, e.at, 0L) : Tuple5.of(e.id, -1L, e.expires, e.at, e.category))
        .returns(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG, Types.LONG));
  }

  static void q9(DataStream<Event> events) {
    sides(events).keyBy(side -> side.f0, Types.LONG)
        .process(new Winners<Out>() {
          private transient Out row;

          @Override
          void emit(long auction, Tuple6<Long, Long, Long, Long, Long, Long> is, long former, Collector<Out> out) {
            if (row == null) row = new Out();
            row.isNew = former < 0;
            row.a = auction;
            row.b = is.f4;
            row.c = is.f3;
            row.d = is.f5;
            out.collect(row);
          }
        }).returns(Types.GENERIC(Out.class))
        .sinkTo(new Out.Rows(r -> Tally.text(r.a, r.a, r.b, r.c, r.d), r -> Tally.text(r.a)));
  }

  static void q4(DataStream<Event> events) {
    sides(events).keyBy(side -> side.f0, Types.LONG)
        .process(new Winners<Tuple3<Long, Long, Long>>() {
          @Override
          void emit(long auction, Tuple6<Long, Long, Long, Long, Long, Long> is, long former, Collector<Tuple3<Long, Long, Long>> out) {
            out.collect(Tuple3.of(is.f2, former, is.f3));
          }
        }).returns(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG))
        .keyBy(change -> change.f0, Types.LONG)
        .process(new MeanOfCategory()).returns(Types.GENERIC(Out.class))
        .sinkTo(new Out.Rows(r -> Tally.text(r.a, r.b), r -> Tally.text(r.a)));
  }

  /** Keeps the best bid of each auction, gives it out when it changes, and keeps bids that come before their auction. */
  private abstract static class Winners<T> extends KeyedProcessFunction<Long, Tuple5<Long, Long, Long, Long, Long>, T> {
    /** begin, expires, category, best price or -1, its bidder, its time */
    private transient ValueState<Tuple6<Long, Long, Long, Long, Long, Long>> auction;
    private transient ListState<Tuple3<Long, Long, Long>> early;

    /** `former`: the price before, or -1. */
    abstract void emit(long auction, Tuple6<Long, Long, Long, Long, Long, Long> is, long former, Collector<T> out);

    @Override
    public void open(OpenContext context) {
      auction = getRuntimeContext().getState(new ValueStateDescriptor<>("auction", SIX));
      early = getRuntimeContext().getListState(new ListStateDescriptor<>("early", Types.TUPLE(Types.LONG, Types.LONG, Types.LONG)));
    }
    @Override
    public void processElement(Tuple5<Long, Long, Long, Long, Long> side, Context context, Collector<T> out) throws Exception {
      if (side.f1 < 0) {
        Tuple6<Long, Long, Long, Long, Long, Long> is = Tuple6.of(side.f3, side.f2, side.f4, -1L, 0L, 0L);
        Iterable<Tuple3<Long, Long, Long>> waiting = early.get();
        if (waiting != null) {
          for (Tuple3<Long, Long, Long> bid : waiting) offer(side.f0, is, bid.f0, bid.f1, bid.f2, out);
          early.clear();
        }
        auction.update(is);
        return;
      }
      Tuple6<Long, Long, Long, Long, Long, Long> is = auction.value();
      if (is == null) early.add(Tuple3.of(side.f1, side.f2, side.f3));
      else if (offer(side.f0, is, side.f1, side.f2, side.f3, out)) auction.update(is);
    }
    private boolean offer(long id, Tuple6<Long, Long, Long, Long, Long, Long> is, Long bidder, Long price, Long at, Collector<T> out) {
      if (at < is.f0 || at > is.f1) return false;
      if (price < is.f3 || (price.equals(is.f3) && at >= is.f5)) return false;
      long former = is.f3;
      is.f3 = price;
      is.f4 = bidder;
      is.f5 = at;
      emit(id, is, former, out);
      return true;
    }
  }

  private static final class MeanOfCategory extends KeyedProcessFunction<Long, Tuple3<Long, Long, Long>, Out> {
    private transient ValueState<Tuple2<Long, Long>> totals;
    private transient Out row;

    @Override
    public void open(OpenContext context) {
      totals = getRuntimeContext().getState(new ValueStateDescriptor<>("totals", Types.TUPLE(Types.LONG, Types.LONG)));
      row = new Out();
    }
    @Override
    public void processElement(Tuple3<Long, Long, Long> change, Context context, Collector<Out> out) throws Exception {
      Tuple2<Long, Long> is = totals.value();
      row.isNew = is == null;
      if (is == null) is = Tuple2.of(0L, 0L);
      boolean isFirst = change.f1 < 0;
      is.f0 = is.f0 + change.f2 - (isFirst ? 0 : change.f1);
      if (isFirst) is.f1 = is.f1 + 1;
      totals.update(is);
      row.a = change.f0;
      row.b = is.f0 / is.f1;
      out.collect(row);
    }
  }

  // --- q20 ---

  static void q20(DataStream<Event> events) {
    events.map(e -> e.isBid() ? Tuple4.of(e.id, e.bidder, e.price, e.at) : Tuple4.of(e.id, -1L, e.category, e.seller))
        .returns(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG))
        .keyBy(side -> side.f0, Types.LONG)
        .process(new BidsWithAuction())
        .returns(Types.GENERIC(Out.class))
        .sinkTo(new Out.Rows(r -> Tally.text(r.a, r.b, r.c, r.d, r.e), null));
  }

  private static final class BidsWithAuction extends KeyedProcessFunction<Long, Tuple4<Long, Long, Long, Long>, Out> {
    private transient ValueState<Tuple2<Long, Long>> auction;  // category, seller
    private transient ListState<Tuple3<Long, Long, Long>> early;
    private transient Out row;

    @Override
    public void open(OpenContext context) {
      auction = getRuntimeContext().getState(new ValueStateDescriptor<>("auction", Types.TUPLE(Types.LONG, Types.LONG)));
      early = getRuntimeContext().getListState(new ListStateDescriptor<>("early", Types.TUPLE(Types.LONG, Types.LONG, Types.LONG)));
      row = new Out();
    }
    @Override
    public void processElement(Tuple4<Long, Long, Long, Long> side, Context context, Collector<Out> out) throws Exception {
      if (side.f1 < 0) {
        Tuple2<Long, Long> is = Tuple2.of(side.f2, side.f3);
        auction.update(is);
        Iterable<Tuple3<Long, Long, Long>> waiting = early.get();
        if (waiting == null) return;
        for (Tuple3<Long, Long, Long> bid : waiting) emit(side.f0, is, bid.f0, bid.f1, bid.f2, out);
        early.clear();
        return;
      }
      Tuple2<Long, Long> is = auction.value();
      if (is == null) early.add(Tuple3.of(side.f1, side.f2, side.f3));
      else emit(side.f0, is, side.f1, side.f2, side.f3, out);
    }
    private void emit(long id, Tuple2<Long, Long> is, long bidder, long price, long at, Collector<Out> out) {
      if (is.f0 != 10) return;
      row.a = id;
      row.b = bidder;
      row.c = price;
      row.d = at;
      row.e = is.f1;
      out.collect(row);
    }
  }
}
