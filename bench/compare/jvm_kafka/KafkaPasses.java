package compare;

import java.lang.management.ManagementFactory;
import java.util.Map;
import java.util.TreeMap;

/**
 * The command line of the programs that read Kafka: whole jobs into `--warm-up-output` until `--warm-up` seconds are over, then one into
 * `--output`, whose CPU is printed.
 */
public final class KafkaPasses {
  /** Runs a query over the `records` that the input has and returns when its rows are committed. `number`: of the pass. */
  public interface Pass {
    void run(Map<String, String> flags, String output, int number) throws Exception;
  }

  public static void run(String[] words, Pass pass) throws Exception {
    Map<String, String> flags = new TreeMap<>(Map.of("--warm-up", "0", "--commit-ms", "1000"));
    for (int i = 0; i + 1 < words.length; i += 2) flags.put(words[i], words[i + 1]);
    for (String needed : new String[] {"--brokers", "--input", "--output", "--warm-up-output", "--query", "--records"}) {
      if (!flags.containsKey(needed)) throw new IllegalArgumentException(needed + " is missing");
    }
    var process = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long begin = System.nanoTime();
    int number = 0;
    double warmUp = Double.parseDouble(flags.get("--warm-up"));
    while (System.nanoTime() - begin < warmUp * 1e9) pass.run(flags, flags.get("--warm-up-output"), number++);
    System.gc();
    long cpu = process.getProcessCpuTime(), wall = System.nanoTime();
    pass.run(flags, flags.get("--output"), number);
    System.out.printf("{\"cpu_s\": %.6f, \"wall_s\": %.6f}%n", (process.getProcessCpuTime() - cpu) / 1e9, (System.nanoTime() - wall) / 1e9);
  }
}
