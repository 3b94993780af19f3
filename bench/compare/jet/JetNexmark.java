package compare;

import com.hazelcast.config.Config;
import com.hazelcast.core.Hazelcast;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.function.FunctionEx;
import com.hazelcast.jet.aggregate.AggregateOperation;
import com.hazelcast.jet.aggregate.AggregateOperation1;
import com.hazelcast.jet.aggregate.AggregateOperations;
import com.hazelcast.jet.config.JobConfig;
import com.hazelcast.jet.config.ProcessingGuarantee;
import com.hazelcast.jet.core.AbstractProcessor;
import com.hazelcast.jet.core.ProcessorMetaSupplier;
import com.hazelcast.jet.datamodel.KeyedWindowResult;
import com.hazelcast.jet.Traversers;
import com.hazelcast.jet.pipeline.Pipeline;
import com.hazelcast.jet.pipeline.Sinks;
import com.hazelcast.jet.pipeline.StreamStage;
import com.hazelcast.jet.pipeline.WindowDefinition;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Nexmark's queries on Hazelcast Jet's pipeline API, one cooperative thread, in this process; settings: README.md. */
public final class JetNexmark {
  record Bid(long auction, long bidder, long price, long at, byte[] extra) implements Serializable {}
  record PassedBid(long auction, long bidder, long price, long at, byte[] extra) implements Serializable {}
  record AuctionPrice(long auction, long price) implements Serializable {}
  /** A new person, or (without a name) who offers something. */
  record Side(long id, byte[] name) implements Serializable {}

  public static void main(String[] words) throws Exception {
    System.setProperty("hazelcast.logging.type", "none");
    System.setProperty("hazelcast.phone.home.enabled", "false");
    Config config = new Config();
    config.getJetConfig().setEnabled(true).setCooperativeThreadCount(1);
    config.getNetworkConfig().getJoin().getAutoDetectionConfig().setEnabled(false);
    config.getNetworkConfig().getJoin().getMulticastConfig().setEnabled(false);
    config.getNetworkConfig().getInterfaces().setEnabled(true).addInterface("127.0.0.1");
    config.getMetricsConfig().setEnabled(false);
    HazelcastInstance member = Hazelcast.newHazelcastInstance(config);
    JobConfig job = new JobConfig().setProcessingGuarantee(ProcessingGuarantee.NONE).setMetricsEnabled(false);
    Passes.run(Passes.flags(words), (events, query, tally) -> {
      if (MemorySource.rows == null) lay(events, query);
      Pipeline pipeline = Pipeline.create().setPreserveOrder(false);
      build(pipeline, query);
      member.getJet().newJob(pipeline, job).join();
    });
    member.shutdown();
    System.exit(0);
  }

  /** The rows that a query reads, as objects. */
  private static void lay(Events in, String query) {
    boolean isOfBids = !query.equals("q8");
    int count = isOfBids ? in.bidAt.size : in.personAt.size + in.auctionAt.size;
    Object[] rows = new Object[count];
    long[] at = new long[count];
    int person = 0, auction = 0, bid = 0, row = 0;
    for (int i = 0; i < in.count; ++i) {
      switch (in.kinds[i]) {
        case Events.BID -> {
          if (isOfBids) {
            at[row] = in.bidAt.get(bid);
            rows[row++] = new Bid(in.bidAuction.get(bid), in.bidBidder.get(bid), in.bidPrice.get(bid), in.bidAt.get(bid), in.bidExtra.get(bid));
          }
          ++bid;
        }
        case Events.AUCTION -> {
          if (!isOfBids) {
            at[row] = in.auctionAt.get(auction);
            rows[row++] = new Side(in.auctionSeller.get(auction), null);
          }
          ++auction;
        }
        default -> {
          if (!isOfBids) {
            at[row] = in.personAt.get(person);
            rows[row++] = new Side(in.personId.get(person), in.personName.get(person));
          }
          ++person;
        }
      }
    }
    MemorySource.at = at;
    MemorySource.rows = rows;
  }

  private static void build(Pipeline pipeline, String query) {
    switch (query) {
      case "q0" -> write(bids(pipeline).map(b -> new PassedBid(b.auction, b.bidder, b.price, b.at, b.extra)),
          r -> Tally.text(r.auction, r.bidder, r.price, r.at, r.extra));
      case "q1" -> write(bids(pipeline).map(b -> new PassedBid(b.auction, b.bidder, 908 * b.price, b.at, b.extra)),
          r -> Tally.text(r.auction, r.bidder, r.price, r.at, r.extra));
      case "q2" -> write(bids(pipeline).filter(b -> b.auction % 123 == 0).map(b -> new AuctionPrice(b.auction, b.price)),
          r -> Tally.text(r.auction, r.price));
      case "q5" -> q5(bids(pipeline));
      case "q7" -> write(bids(pipeline).window(WindowDefinition.tumbling(10_000))
              .aggregate(best(Bid::price)).flatMap(r -> Traversers.traverseIterable(r.result())),
          r -> Tally.text(r.auction, r.price, r.bidder, r.at, r.extra));
      case "q8" -> q8(pipeline.<Side>readFrom(MemorySource.stream()).withNativeTimestamps(0));
      case "q11" -> write(bids(pipeline).window(WindowDefinition.session(10_000)).groupingKey(Bid::bidder).aggregate(AggregateOperations.counting()),
          r -> Tally.text(r.key(), r.result(), r.start(), r.end()));
      default -> throw new IllegalArgumentException("there is no " + query + " here");
    }
  }

  private static StreamStage<Bid> bids(Pipeline pipeline) {
    return pipeline.<Bid>readFrom(MemorySource.stream()).withNativeTimestamps(0);
  }

  private static void q5(StreamStage<Bid> bids) {
    StreamStage<KeyedWindowResult<Long, Long>> counts =
        bids.window(WindowDefinition.sliding(10_000, 2_000)).groupingKey(Bid::auction).aggregate(AggregateOperations.counting());
    write(counts.window(WindowDefinition.tumbling(2_000)).aggregate(best(KeyedWindowResult<Long, Long>::result))
            .flatMap(r -> Traversers.traverseIterable(r.result())),
        r -> Tally.text(r.end(), r.key(), r.result()));
  }

  /** All rows that have the greatest value. */
  private static <T> AggregateOperation1<T, List<T>, List<T>> best(FunctionEx<T, Long> value) {
    return AggregateOperation.withCreate(() -> (List<T>) new ArrayList<T>())
        .<T>andAccumulate((best, row) -> keep(best, row, value))
        .andCombine((best, other) -> {
          for (T row : other) keep(best, row, value);
        })
        .andExportFinish(best -> best);
  }
  private static <T> void keep(List<T> best, T row, FunctionEx<T, Long> value) {
    long is = value.apply(row);
    long most = best.isEmpty() ? -1 : value.apply(best.get(0));
    if (is > most) best.clear();
    if (is >= most) best.add(row);
  }

  private static void q8(StreamStage<Side> sides) {
    AggregateOperation1<Side, Both, Both> both = AggregateOperation.withCreate(Both::new)
        .<Side>andAccumulate((b, side) -> {
          if (side.name == null) b.isSeller = true;
          else b.name = side.name;
        })
        .andCombine((b, other) -> {
          b.isSeller |= other.isSeller;
          if (other.name != null) b.name = other.name;
        })
        .andExportFinish(b -> b);
    write(sides.window(WindowDefinition.tumbling(10_000)).groupingKey(Side::id).aggregate(both)
            .filter(r -> r.result().isSeller && r.result().name != null),
        r -> Tally.text(r.key(), r.result().name, r.start()));
  }

  private static final class Both implements Serializable {
    byte[] name;
    boolean isSeller;
  }

  // --- what the timed passes end in ---

  private static <T> void write(StreamStage<T> rows, FunctionEx<T, String> text) {
    rows.writeTo(Sinks.fromProcessor("rows", ProcessorMetaSupplier.preferLocalParallelismOne(() -> new Rows<>(text))));
  }

  /** Counts rows; in a pass that checks, adds up their hashes. */
  private static final class Rows<T> extends AbstractProcessor {
    private final FunctionEx<T, String> text;
    private final Tally tally = Tally.current;

    Rows(FunctionEx<T, String> text) {
      this.text = text;
    }

    @Override
    @SuppressWarnings("unchecked")
    protected boolean tryProcess(int ordinal, Object row) {
      ++tally.rows;
      if (tally.checks) tally.check(text.apply((T) row));
      return true;
    }
    @Override
    public boolean tryProcessWatermark(com.hazelcast.jet.core.Watermark watermark) {
      return true;
    }
    @Override
    public boolean complete() {
      tally.end();
      return true;
    }
  }
}
