package compare;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** The events of `nexmark --dump-input` in memory before the clock starts: columns by kind, each in the order of arrival. */
public final class Events {
  public static final byte PERSON = 0, AUCTION = 1, BID = 2;

  public int count;
  /** The kind of each event. */
  public byte[] kinds = new byte[1 << 20];

  public final Longs personId = new Longs(), personAt = new Longs();
  public final Texts personName = new Texts(), personCity = new Texts(), personState = new Texts();

  public final Longs auctionId = new Longs(), auctionAt = new Longs(), auctionExpires = new Longs(),
      auctionSeller = new Longs(), auctionCategory = new Longs();

  public final Longs bidAuction = new Longs(), bidBidder = new Longs(), bidPrice = new Longs(), bidAt = new Longs();
  public final Texts bidChannel = new Texts(), bidUrl = new Texts(), bidExtra = new Texts();

  /** Columns that the query does not read are left out: of a text, that saves an object a row. */
  public static Events load(String path, String query) throws IOException {
    Events events = new Events();
    boolean extra = query.matches("q0|q1|q7|q18");
    boolean urls = query.equals("q18");
    try (InputStream in = Files.newInputStream(Path.of(path))) {
      byte[] buffer = new byte[1 << 22];
      int size = 0;
      for (int n; (n = in.read(buffer, size, buffer.length - size)) >= 0; ) {
        size += n;
        int begin = 0;
        for (int end; (end = find(buffer, '\n', begin, size)) < size; begin = end + 1)
          events.take(new Line(buffer, begin, end), extra, urls);
        System.arraycopy(buffer, begin, buffer, 0, size - begin);
        size -= begin;
        if (size == buffer.length) throw new IOException(path + ": a line of more than " + size + " bytes");
      }
      if (size > 0) throw new IOException(path + ": the last line has no end");
    }
    return events;
  }

  private void take(Line line, boolean extra, boolean urls) throws IOException {
    byte kind;
    switch (line.letter()) {
      case 'P' -> {
        kind = PERSON;
        personId.add(line.number());
        personName.add(line.text());
        line.skip(2);
        personCity.add(line.text());
        personState.add(line.text());
        personAt.add(line.number());
      }
      case 'A' -> {
        kind = AUCTION;
        auctionId.add(line.number());
        line.skip(4);
        auctionAt.add(line.number());
        auctionExpires.add(line.number());
        auctionSeller.add(line.number());
        auctionCategory.add(line.number());
      }
      case 'B' -> {
        kind = BID;
        bidAuction.add(line.number());
        bidBidder.add(line.number());
        bidPrice.add(line.number());
        if (urls) {
          bidChannel.add(line.text());
          bidUrl.add(line.text());
        } else {
          line.skip(2);
        }
        bidAt.add(line.number());
        if (extra) bidExtra.add(line.text());
      }
      default -> throw new IOException("no line of an event: " + line);
    }
    if (count == kinds.length) kinds = Arrays.copyOf(kinds, 2 * count);
    kinds[count++] = kind;
  }

  private static int find(byte[] in, char wanted, int from, int end) {
    while (from < end && in[from] != wanted) ++from;
    return from;
  }

  /** Fields between `|`. */
  private static final class Line {
    private final byte[] bytes;
    private final int end;
    private int at;

    Line(byte[] bytes, int begin, int end) {
      this.bytes = bytes;
      this.end = end;
      at = begin;
    }

    char letter() {
      char letter = (char) bytes[at];
      at += 2;
      return letter;
    }
    byte[] text() {
      int stop = find(bytes, '|', at, end);
      byte[] text = Arrays.copyOfRange(bytes, at, stop);
      at = stop + 1;
      return text;
    }
    void skip(int fields) {
      while (fields-- > 0) at = find(bytes, '|', at, end) + 1;
    }
    long number() throws IOException {
      long value = 0;
      int digits = 0;
      for (; at < end && bytes[at] != '|'; ++at, ++digits) {
        int digit = bytes[at] - '0';
        if (digit < 0 || digit > 9) throw new IOException("no number where one should be: " + this);
        value = 10 * value + digit;
      }
      if (digits == 0) throw new IOException("a number is missing: " + this);
      ++at;
      return value;
    }
    @Override
    public String toString() {
      return new String(bytes, 0, Math.min(end, 200));
    }
  }

  /** A growing column; `get` is not checked against `size`. */
  public static final class Longs {
    private long[] values = new long[1 << 16];
    public int size;

    void add(long value) {
      if (size == values.length) values = Arrays.copyOf(values, 2 * size);
      values[size++] = value;
    }
    public long get(int i) {
      return values[i];
    }
  }

  public static final class Texts {
    private byte[][] values = new byte[1 << 16][];
    public int size;

    void add(byte[] value) {
      if (size == values.length) values = Arrays.copyOf(values, 2 * size);
      values[size++] = value;
    }
    /** Null: a column that the query does not read. */
    public byte[] get(int i) {
      return size == 0 ? null : values[i];
    }
  }
}
