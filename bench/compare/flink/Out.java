package compare;

import java.io.Serializable;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;

/** A row of a result, in an object that its maker uses again: it goes to a sink in the same chain. */
public final class Out {
  public long a, b, c, d, e;
  public byte[] x, y, z;
  public long[] more;
  /** Of queries whose rows revise each other: the first with its identity. */
  public boolean isNew = true;

  interface Text extends Serializable {
    String of(Out row);
  }

  /** Counts rows; in a pass that checks, adds up their hashes. */
  static final class Rows implements Sink<Out> {
    private final Text text, identity;

    Rows(Text text, Text identity) {
      this.text = text;
      this.identity = identity;
    }

    @Override
    public SinkWriter<Out> createWriter(WriterInitContext context) {
      Tally tally = Tally.current;
      return new SinkWriter<>() {
        private long rows;

        @Override
        public void write(Out row, Context at) {
          if (row.isNew) ++rows;
          if (!tally.checks) return;
          if (identity == null) tally.check(text.of(row));
          else tally.check(identity.of(row), text.of(row));
        }
        @Override
        public void flush(boolean isEnd) {
          if (!isEnd) return;
          tally.rows = rows;
          tally.end();
        }
        @Override
        public void close() {}
      };
    }
  }
}
