package compare;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * The events in memory as a bounded source of one reader, which hands out one row object again and again (object reuse) and
 * several events a poll. It has no splits to hand out and nothing to restore: the jobs here take no checkpoints.
 */
public final class EventSource implements Source<Event, EventSource.NoSplit, Integer> {
  static volatile Events events;

  private final boolean persons, auctions, bids;

  /** Kinds that a query does not read are not handed out, as if each kind were a topic of its own. */
  public EventSource(boolean persons, boolean auctions, boolean bids) {
    this.persons = persons;
    this.auctions = auctions;
    this.bids = bids;
  }

  public record NoSplit() implements SourceSplit {
    @Override
    public String splitId() {
      return "none";
    }
  }

  private static final class Reader implements SourceReader<Event, NoSplit> {
    private static final int EVENTS_A_POLL = 256;

    private final boolean persons, auctions, bids;
    private final Events in = events;
    private final Event row = new Event();
    private int at, person, auction, bid;

    Reader(EventSource of) {
      persons = of.persons;
      auctions = of.auctions;
      bids = of.bids;
    }

    @Override
    public InputStatus pollNext(ReaderOutput<Event> out) {
      if (at == 0) Tally.current.begin();
      int until = Math.min(in.count, at + EVENTS_A_POLL);
      for (; at < until; ++at) {
        switch (in.kinds[at]) {
          case Events.BID -> {
            if (bids) {
              row.toBid(in, bid);
              out.collect(row, row.at);
            }
            ++bid;
          }
          case Events.AUCTION -> {
            if (auctions) {
              row.toAuction(in, auction);
              out.collect(row, row.at);
            }
            ++auction;
          }
          default -> {
            if (persons) {
              row.toPerson(in, person);
              out.collect(row, row.at);
            }
            ++person;
          }
        }
      }
      return at < in.count ? InputStatus.MORE_AVAILABLE : InputStatus.END_OF_INPUT;
    }

    @Override
    public void start() {}
    @Override
    public List<NoSplit> snapshotState(long checkpoint) {
      return List.of();
    }
    @Override
    public CompletableFuture<Void> isAvailable() {
      return CompletableFuture.completedFuture(null);
    }
    @Override
    public void addSplits(List<NoSplit> splits) {}
    @Override
    public void notifyNoMoreSplits() {}
    @Override
    public void close() {}
  }

  private static final class Enumerator implements SplitEnumerator<NoSplit, Integer> {
    @Override
    public void start() {}
    @Override
    public void handleSplitRequest(int subtask, String host) {}
    @Override
    public void addSplitsBack(List<NoSplit> splits, int subtask) {}
    @Override
    public void addReader(int subtask) {}
    @Override
    public Integer snapshotState(long checkpoint) {
      return 0;
    }
    @Override
    public void close() {}
  }

  private static final class Nothing<T> implements SimpleVersionedSerializer<T> {
    private final T only;

    Nothing(T only) {
      this.only = only;
    }
    @Override
    public int getVersion() {
      return 1;
    }
    @Override
    public byte[] serialize(T value) {
      return new byte[0];
    }
    @Override
    public T deserialize(int version, byte[] bytes) {
      return only;
    }
  }

  @Override
  public Boundedness getBoundedness() {
    return Boundedness.BOUNDED;
  }
  @Override
  public SourceReader<Event, NoSplit> createReader(SourceReaderContext context) {
    return new Reader(this);
  }
  @Override
  public SplitEnumerator<NoSplit, Integer> createEnumerator(SplitEnumeratorContext<NoSplit> context) {
    return new Enumerator();
  }
  @Override
  public SplitEnumerator<NoSplit, Integer> restoreEnumerator(SplitEnumeratorContext<NoSplit> context, Integer state) {
    return new Enumerator();
  }
  @Override
  public SimpleVersionedSerializer<NoSplit> getSplitSerializer() {
    return new Nothing<>(new NoSplit());
  }
  @Override
  public SimpleVersionedSerializer<Integer> getEnumeratorCheckpointSerializer() {
    return new Nothing<>(0);
  }
}
