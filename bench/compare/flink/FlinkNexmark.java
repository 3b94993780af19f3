package compare;

import java.util.Map;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** Nexmark's queries on Flink's DataStream API, one subtask of everything, in this process; settings: README.md. */
public final class FlinkNexmark {
  public static void main(String[] words) throws Exception {
    Map<String, String> flags = Passes.flags(words);
    Configuration settings = new Configuration();
    settings.setString("parallelism.default", "1");
    settings.setString("pipeline.object-reuse", "true");
    settings.setString("taskmanager.numberOfTaskSlots", "1");
    settings.setString("taskmanager.memory.managed.size", "1g");
    settings.setString("taskmanager.memory.network.min", "64m");
    settings.setString("taskmanager.memory.network.max", "64m");
    settings.setString("metrics.latency.interval", "0");
    switch (flags.getOrDefault("--backend", "heap")) {
      case "heap" -> settings.setString("state.backend.type", "hashmap");
      case "rocksdb" -> {
        settings.setString("state.backend.type", "rocksdb");
        settings.setString("state.backend.rocksdb.predefined-options", "FLASH_SSD_OPTIMIZED");
      }
      default -> throw new IllegalArgumentException("--backend is heap or rocksdb");
    }
    Passes.run(flags, (events, query, tally) -> {
      EventSource.events = events;
      StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(settings);
      env.setRuntimeMode(RuntimeExecutionMode.STREAMING);
      build(env, query);
      env.execute(query);
    });
    System.exit(0);
  }

  private static void build(StreamExecutionEnvironment env, String query) {
    switch (query) {
      case "q0" -> Stateless.q0(bids(env));
      case "q1" -> Stateless.q1(bids(env));
      case "q2" -> Stateless.q2(bids(env));
      case "q3" -> Joins.q3(events(env, true, true, false));
      case "q4" -> Joins.q4(events(env, false, true, true));
      case "q5" -> Windows.q5(bids(env));
      case "q7" -> Windows.q7(bids(env));
      case "q8" -> Windows.q8(events(env, true, true, false));
      case "q9" -> Joins.q9(events(env, false, true, true));
      case "q11" -> Windows.q11(bids(env));
      case "q17" -> Keyed.q17(bids(env));
      case "q18" -> Keyed.q18(bids(env));
      case "q20" -> Joins.q20(events(env, false, true, true));
      default -> throw new IllegalArgumentException("there is no " + query + " here");
    }
  }

  private static DataStream<Event> bids(StreamExecutionEnvironment env) {
    return events(env, false, false, true);
  }
  private static DataStream<Event> events(StreamExecutionEnvironment env, boolean persons, boolean auctions, boolean bids) {
    return env.fromSource(new EventSource(persons, auctions, bids), WatermarkStrategy.forMonotonousTimestamps(), "events");
  }
}
