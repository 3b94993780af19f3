package compare;

import java.util.Map;
import java.util.TreeMap;

/** The command line that bench/compare/README.md asks for: warm-up passes, measured ones, one that checks. */
public final class Passes {
  /** Runs a query once, from its first event to its end; tells `tally` both, and the rows. */
  public interface Pass {
    void run(Events events, String query, Tally tally) throws Exception;
  }

  public static Map<String, String> flags(String[] words) {
    Map<String, String> flags = new TreeMap<>(Map.of("--warm-up", "0", "--measure", "1"));
    for (int i = 0; i < words.length; ++i) {
      if (words[i].equals("--check")) {
        flags.put(words[i], "");
      } else if (words[i].matches("--(input|query|warm-up|measure|backend|rate)") && i + 1 < words.length) {
        flags.put(words[i], words[++i]);
      } else {
        throw new IllegalArgumentException("unknown argument, or one without a value: " + words[i]);
      }
    }
    return flags;
  }

  public static void run(Map<String, String> flags, Pass pass) throws Exception {
    String query = flags.get("--query");
    Events events = Events.load(flags.get("--input"), query);
    double warmUp = Double.parseDouble(flags.get("--warm-up"));
    long begin = System.nanoTime();
    do {
      once(pass, events, query, false);
    } while (System.nanoTime() - begin < warmUp * 1e9);
    for (int i = 0; i < Integer.parseInt(flags.get("--measure")); ++i)
      System.out.println(once(pass, events, query, false).json(query, events.count));
    if (flags.containsKey("--check")) System.out.println(once(pass, events, query, true).json(query, events.count));
  }

  private static Tally once(Pass pass, Events events, String query, boolean checks) throws Exception {
    Tally.current = new Tally(checks);
    System.gc();
    pass.run(events, query, Tally.current);
    return Tally.current;
  }
}
