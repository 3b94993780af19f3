package compare;

import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.util.Collector;

final class Stateless {
  static void q0(DataStream<Event> bids) {
    bids.map(new Passed()).sinkTo(new Out.Rows(r -> Tally.text(r.a, r.b, r.c, r.d, r.x), null));
  }
  static void q1(DataStream<Event> bids) {
    bids.map(new InEuros()).sinkTo(new Out.Rows(r -> Tally.text(r.a, r.b, r.c, r.d, r.x), null));
  }
  static void q2(DataStream<Event> bids) {
    bids.flatMap(new OfSomeAuctions()).sinkTo(new Out.Rows(r -> Tally.text(r.a, r.b), null));
  }

  private static Out filled(Out row, Event bid, long price) {
    row.a = bid.id;
    row.b = bid.bidder;
    row.c = price;
    row.d = bid.at;
    row.x = bid.extra;
    return row;
  }

  private static final class Passed implements MapFunction<Event, Out> {
    private transient Out row;

    @Override
    public Out map(Event bid) {
      if (row == null) row = new Out();
      return filled(row, bid, bid.price);
    }
  }

  private static final class InEuros implements MapFunction<Event, Out> {
    private transient Out row;

    @Override
    public Out map(Event bid) {
      if (row == null) row = new Out();
      return filled(row, bid, 908 * bid.price);
    }
  }

  private static final class OfSomeAuctions implements FlatMapFunction<Event, Out> {
    private transient Out row;

    @Override
    public void flatMap(Event bid, Collector<Out> out) {
      if (bid.id % 123 != 0) return;
      if (row == null) row = new Out();
      row.a = bid.id;
      row.b = bid.price;
      out.collect(row);
    }
  }
}
