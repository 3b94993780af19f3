package compare;

import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** What a pass gives: the clock from the first event to the end of all operators, rows, and their checksum if the pass checks. */
public final class Tally {
  private static final com.sun.management.OperatingSystemMXBean PROCESS =
      (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  /** Of the pass that runs: a job's operators are in this process, but are handed around as bytes. */
  public static volatile Tally current;

  public final boolean checks;
  public long rows;
  private long sum;
  private final Map<String, Long> table = new HashMap<>();
  private volatile long cpuBegin, wallBegin, cpuNs, wallNs;

  public Tally(boolean checks) {
    this.checks = checks;
  }

  /** A source before its first event. */
  public void begin() {
    if (wallBegin != 0) return;
    wallBegin = System.nanoTime();
    cpuBegin = PROCESS.getProcessCpuTime();
  }
  /** The last operator after its last row. */
  public void end() {
    cpuNs = PROCESS.getProcessCpuTime() - cpuBegin;
    wallNs = System.nanoTime() - wallBegin;
  }

  /** A row that stays: fields joined by `|`. */
  public void check(String text) {
    sum += hash(text);
  }
  /** A row that takes the place of the former one with this identity. */
  public void check(String identity, String text) {
    long hash = hash(text);
    Long former = table.put(identity, hash);
    sum += hash - (former == null ? 0 : former);
  }

  private static long hash(String text) {
    long hash = 0xcbf29ce484222325L;
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) hash = (hash ^ (b & 0xff)) * 0x100000001b3L;
    return hash;
  }

  String json(String query, int events) {
    if (wallNs == 0) throw new IllegalStateException(query + ": the pass has not ended");
    String checksum = checks ? String.format(", \"checksum\": \"%016x\"", sum) : "";
    return String.format("{\"query\": \"%s\", \"events\": %d, \"rows\": %d%s, \"cpu_s\": %.6f, \"wall_s\": %.6f}", query, events, rows, checksum,
        cpuNs / 1e9, wallNs / 1e9);
  }

  public static String text(Object... fields) {
    StringBuilder out = new StringBuilder();
    for (Object field : fields) {
      if (out.length() > 0) out.append('|');
      if (field instanceof byte[] bytes) out.append(new String(bytes, StandardCharsets.UTF_8));
      else out.append(field);
    }
    return out.toString();
  }
}
