package compare;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.FilterFunction;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.tuple.Tuple5;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.functions.windowing.AllWindowFunction;
import org.apache.flink.streaming.api.functions.windowing.WindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.EventTimeSessionWindows;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

final class Windows {
  private static final PrimitiveArrayTypeInfo<byte[]> TEXT = PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
  private static final Duration TWO = Duration.ofSeconds(2), TEN = Duration.ofSeconds(10);

  /** Counts per slice of 2 s first: a sliding window alone would update five windows a bid. */
  static void q5(DataStream<Event> bids) {
    bids.map(bid -> bid.id).returns(Types.LONG)
        .keyBy(auction -> auction, Types.LONG)
        .window(TumblingEventTimeWindows.of(TWO))
        .aggregate(new Count<Long>(), new OfAuction(), Types.LONG, Types.TUPLE(Types.LONG, Types.LONG, Types.LONG))
        .keyBy(count -> count.f1, Types.LONG)
        .window(SlidingEventTimeWindows.of(TEN, TWO))
        .aggregate(new SumOfSlices(), new OfAuction(), Types.LONG, Types.TUPLE(Types.LONG, Types.LONG, Types.LONG))
        .windowAll(TumblingEventTimeWindows.of(TWO))
        .aggregate(new Hottest(), new EachHot(), Types.LIST(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG)), Types.GENERIC(Out.class))
        .sinkTo(new Out.Rows(r -> Tally.text(r.a, r.b, r.c), null));
  }

  /** A number that grows with each row. */
  private abstract static class Total<T> implements AggregateFunction<T, Long, Long> {
    @Override
    public Long createAccumulator() {
      return 0L;
    }
    @Override
    public Long getResult(Long n) {
      return n;
    }
    @Override
    public Long merge(Long a, Long b) {
      return a + b;
    }
  }

  private static final class Count<T> extends Total<T> {
    @Override
    public Long add(T bid, Long n) {
      return n + 1;
    }
  }

  private static final class SumOfSlices extends Total<Tuple3<Long, Long, Long>> {
    @Override
    public Long add(Tuple3<Long, Long, Long> slice, Long n) {
      return n + slice.f2;
    }
  }

  /** (window end, auction, number) */
  private static final class OfAuction implements WindowFunction<Long, Tuple3<Long, Long, Long>, Long, TimeWindow> {
    @Override
    public void apply(Long auction, TimeWindow window, Iterable<Long> counts, Collector<Tuple3<Long, Long, Long>> out) {
      out.collect(Tuple3.of(window.getEnd(), auction, counts.iterator().next()));
    }
  }

  private static final class Hottest
      implements AggregateFunction<Tuple3<Long, Long, Long>, List<Tuple3<Long, Long, Long>>, List<Tuple3<Long, Long, Long>>> {
    @Override
    public List<Tuple3<Long, Long, Long>> createAccumulator() {
      return new ArrayList<>();
    }
    @Override
    public List<Tuple3<Long, Long, Long>> add(Tuple3<Long, Long, Long> count, List<Tuple3<Long, Long, Long>> best) {
      long most = best.isEmpty() ? 0 : best.get(0).f2;
      if (count.f2 > most) best.clear();
      if (count.f2 >= most) best.add(count);
      return best;
    }
    @Override
    public List<Tuple3<Long, Long, Long>> getResult(List<Tuple3<Long, Long, Long>> best) {
      return best;
    }
    @Override
    public List<Tuple3<Long, Long, Long>> merge(List<Tuple3<Long, Long, Long>> a, List<Tuple3<Long, Long, Long>> b) {
      b.forEach(count -> add(count, a));
      return a;
    }
  }

  private static final class EachHot implements AllWindowFunction<List<Tuple3<Long, Long, Long>>, Out, TimeWindow> {
    @Override
    public void apply(TimeWindow window, Iterable<List<Tuple3<Long, Long, Long>>> best, Collector<Out> out) {
      for (Tuple3<Long, Long, Long> count : best.iterator().next()) {
        Out row = new Out();
        row.a = count.f0;
        row.b = count.f1;
        row.c = count.f2;
        out.collect(row);
      }
    }
  }

  /** Only bids that can still be the highest are sent on: each bid of such a window would travel with its texts otherwise. */
  static void q7(DataStream<Event> bids) {
    bids.filter(new CanBeHighest())
        .map(b -> Tuple5.of(b.id, b.price, b.bidder, b.at, b.extra))
        .returns(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG, TEXT))
        .windowAll(TumblingEventTimeWindows.of(TEN))
        .aggregate(new Highest(), new EachHigh(), Types.LIST(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG, TEXT)),
            Types.GENERIC(Out.class))
        .sinkTo(new Out.Rows(r -> Tally.text(r.a, r.b, r.c, r.d, r.x), null));
  }

  /** Forgets all when it is restored: then it lets more through, and the window decides as it does anyway. */
  private static final class CanBeHighest implements FilterFunction<Event> {
    private transient long window, most;

    @Override
    public boolean filter(Event bid) {
      long of = bid.at / TEN.toMillis();
      if (of != window) {
        window = of;
        most = -1;
      }
      if (bid.price < most) return false;
      most = bid.price;
      return true;
    }
  }

  private static final class Highest implements AggregateFunction<Tuple5<Long, Long, Long, Long, byte[]>,
      List<Tuple5<Long, Long, Long, Long, byte[]>>, List<Tuple5<Long, Long, Long, Long, byte[]>>> {
    @Override
    public List<Tuple5<Long, Long, Long, Long, byte[]>> createAccumulator() {
      return new ArrayList<>();
    }
    @Override
    public List<Tuple5<Long, Long, Long, Long, byte[]>> add(Tuple5<Long, Long, Long, Long, byte[]> bid,
        List<Tuple5<Long, Long, Long, Long, byte[]>> best) {
      long most = best.isEmpty() ? -1 : best.get(0).f1;
      if (bid.f1 > most) best.clear();
      if (bid.f1 >= most) best.add(bid);
      return best;
    }
    @Override
    public List<Tuple5<Long, Long, Long, Long, byte[]>> getResult(List<Tuple5<Long, Long, Long, Long, byte[]>> best) {
      return best;
    }
    @Override
    public List<Tuple5<Long, Long, Long, Long, byte[]>> merge(List<Tuple5<Long, Long, Long, Long, byte[]>> a,
        List<Tuple5<Long, Long, Long, Long, byte[]>> b) {
      b.forEach(bid -> add(bid, a));
      return a;
    }
  }

  private static final class EachHigh implements AllWindowFunction<List<Tuple5<Long, Long, Long, Long, byte[]>>, Out, TimeWindow> {
    @Override
    public void apply(TimeWindow window, Iterable<List<Tuple5<Long, Long, Long, Long, byte[]>>> best, Collector<Out> out) {
      for (Tuple5<Long, Long, Long, Long, byte[]> bid : best.iterator().next()) {
        Out row = new Out();
        row.a = bid.f0;
        row.b = bid.f1;
        row.c = bid.f2;
        row.d = bid.f3;
        row.x = bid.f4;
        out.collect(row);
      }
    }
  }

  /** Both sides as one keyed stream: a seller has no name. */
  static void q8(DataStream<Event> events) {
    byte[] none = {};
    events.map(e -> e.kind == Events.PERSON ? Tuple2.of(e.id, e.name) : Tuple2.of(e.seller, none)).returns(Types.TUPLE(Types.LONG, TEXT))
        .keyBy(side -> side.f0, Types.LONG)
        .window(TumblingEventTimeWindows.of(TEN))
        .aggregate(new BothSides(), new NewSeller(), Types.TUPLE(TEXT, Types.BOOLEAN), Types.GENERIC(Out.class))
        .sinkTo(new Out.Rows(r -> Tally.text(r.a, r.x, r.b), null));
  }

  private static final class BothSides implements AggregateFunction<Tuple2<Long, byte[]>, Tuple2<byte[], Boolean>, Tuple2<byte[], Boolean>> {
    @Override
    public Tuple2<byte[], Boolean> createAccumulator() {
      return Tuple2.of(new byte[0], false);
    }
    @Override
    public Tuple2<byte[], Boolean> add(Tuple2<Long, byte[]> side, Tuple2<byte[], Boolean> both) {
      if (side.f1.length > 0) both.f0 = side.f1;
      else both.f1 = true;
      return both;
    }
    @Override
    public Tuple2<byte[], Boolean> getResult(Tuple2<byte[], Boolean> both) {
      return both;
    }
    @Override
    public Tuple2<byte[], Boolean> merge(Tuple2<byte[], Boolean> a, Tuple2<byte[], Boolean> b) {
      return Tuple2.of(a.f0.length > 0 ? a.f0 : b.f0, a.f1 || b.f1);
    }
  }

  private static final class NewSeller implements WindowFunction<Tuple2<byte[], Boolean>, Out, Long, TimeWindow> {
    @Override
    public void apply(Long id, TimeWindow window, Iterable<Tuple2<byte[], Boolean>> sides, Collector<Out> out) {
      Tuple2<byte[], Boolean> both = sides.iterator().next();
      if (both.f0.length == 0 || !both.f1) return;
      Out row = new Out();
      row.a = id;
      row.x = both.f0;
      row.b = window.getStart();
      out.collect(row);
    }
  }

  static void q11(DataStream<Event> bids) {
    bids.map(bid -> bid.bidder).returns(Types.LONG)
        .keyBy(bidder -> bidder, Types.LONG)
        .window(EventTimeSessionWindows.withGap(TEN))
        .aggregate(new Count<Long>(), new OfBidder(), Types.LONG, Types.GENERIC(Out.class))
        .sinkTo(new Out.Rows(r -> Tally.text(r.a, r.b, r.c, r.d), null));
  }

  private static final class OfBidder implements WindowFunction<Long, Out, Long, TimeWindow> {
    @Override
    public void apply(Long bidder, TimeWindow session, Iterable<Long> counts, Collector<Out> out) {
      Out row = new Out();
      row.a = bidder;
      row.b = counts.iterator().next();
      row.c = session.getStart();
      row.d = session.getEnd();
      out.collect(row);
    }
  }
}
