package compare;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/** Nexmark's q0, q1 and q2 from JSON to JSON on Kafka Streams, one thread, exactly once; settings: README.md. */
public final class StreamsBids {
  public static void main(String[] words) throws Exception {
    KafkaPasses.run(words, StreamsBids::pass);
    System.exit(0);
  }

  private static void pass(Map<String, String> flags, String output, int number) throws Exception {
    long records = Long.parseLong(flags.get("--records"));
    CountDownLatch all = new CountDownLatch(1);
    AtomicLong failed = new AtomicLong();
    Path state = Files.createTempDirectory("streams-");
    Properties settings = new Properties();
    settings.put("application.id", "streams-" + flags.get("--output") + "-" + number);
    settings.put("bootstrap.servers", flags.get("--brokers"));
    settings.put("processing.guarantee", "exactly_once_v2");
    settings.put("commit.interval.ms", flags.get("--commit-ms"));
    settings.put("num.stream.threads", "1");
    settings.put("replication.factor", "1");
    settings.put("state.dir", state.toString());
    settings.put("buffered.records.per.partition", "10000");
    settings.put("metrics.recording.level", "INFO");
    settings.put("consumer.auto.offset.reset", "earliest");
    settings.put("consumer.max.poll.records", "5000");
    settings.put("consumer.max.partition.fetch.bytes", "4194304");
    settings.put("producer.compression.type", "lz4");
    settings.put("producer.batch.size", "262144");
    settings.put("producer.linger.ms", "20");

    KafkaStreams streams = new KafkaStreams(topology(flags, output, records, all).build(), settings);
    streams.setUncaughtExceptionHandler(e -> {
      e.printStackTrace();
      failed.incrementAndGet();
      all.countDown();
      return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    streams.start();
    all.await();
    // Commits what is open.
    if (!streams.close(Duration.ofSeconds(60)) || failed.get() > 0) throw new IllegalStateException("the job has not ended well");
    try (var files = Files.walk(state)) {
      files.sorted(java.util.Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
    }
  }

  private static StreamsBuilder topology(Map<String, String> flags, String output, long records, CountDownLatch all) {
    String query = flags.get("--query");
    StreamsBuilder builder = new StreamsBuilder();
    JsonBid bid = new JsonBid();
    StringBuilder text = new StringBuilder();
    long[] seen = {0};
    builder.stream(List.of(flags.get("--input")), Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
        .<byte[]>flatMapValues(json -> {
          try {
            bid.read(json);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
          if (++seen[0] == records) all.countDown();
          return switch (query) {
            case "q0" -> List.of(bid.write(text));
            case "q1" -> {
              bid.price *= 908;
              yield List.of(bid.write(text));
            }
            case "q2" -> bid.auction % 123 == 0 ? List.of(bid.writePrice(text)) : List.of();
            default -> throw new IllegalArgumentException("there is no " + query + " here");
          };
        })
        .to(output, Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
    return builder;
  }
}
