package compare;

import java.io.IOException;
import java.util.Map;
import java.util.Properties;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.Collector;

/** Nexmark's q0, q1 and q2 from JSON to JSON on Flink's Kafka connector, one chain, exactly once; settings: README.md. */
public final class FlinkBids {
  public static void main(String[] words) throws Exception {
    KafkaPasses.run(words, FlinkBids::pass);
    System.exit(0);
  }

  private static void pass(Map<String, String> flags, String output, int number) throws Exception {
    Configuration settings = new Configuration();
    settings.setString("parallelism.default", "1");
    settings.setString("pipeline.object-reuse", "true");
    settings.setString("execution.checkpointing.interval", flags.get("--commit-ms") + " ms");
    settings.setString("state.backend.type", "hashmap");
    settings.setString("taskmanager.memory.network.min", "64m");
    settings.setString("taskmanager.memory.network.max", "64m");
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(settings);
    env.setRuntimeMode(RuntimeExecutionMode.STREAMING);

    Properties consumer = new Properties();
    consumer.put("isolation.level", "read_committed");
    consumer.put("max.poll.records", "5000");
    consumer.put("max.partition.fetch.bytes", "4194304");
    Properties producer = new Properties();
    producer.put("compression.type", "lz4");
    producer.put("batch.size", "262144");
    producer.put("linger.ms", "20");
    producer.put("transaction.timeout.ms", "600000");
    String id = "flink-" + flags.get("--output") + "-" + number;
    KafkaSource<byte[]> source = KafkaSource.<byte[]>builder()
        .setBootstrapServers(flags.get("--brokers"))
        .setTopics(flags.get("--input"))
        .setGroupId(id)
        .setStartingOffsets(OffsetsInitializer.earliest())
        .setBounded(OffsetsInitializer.latest())
        .setValueOnlyDeserializer(new Bytes())
        .setProperties(consumer)
        .build();
    KafkaSink<byte[]> sink = KafkaSink.<byte[]>builder()
        .setBootstrapServers(flags.get("--brokers"))
        .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
        .setTransactionalIdPrefix(id)
        .setKafkaProducerConfig(producer)
        .setRecordSerializer(KafkaRecordSerializationSchema.builder().setTopic(output).setValueSerializationSchema(new AsItIs()).build())
        .build();
    env.fromSource(source, WatermarkStrategy.noWatermarks(), "bids")
        .flatMap(new Query(flags.get("--query")))
        .returns(PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO)
        .sinkTo(sink);
    // Ends with a last checkpoint, whose transaction is committed.
    env.execute(id);
  }

  private static final class Query implements FlatMapFunction<byte[], byte[]> {
    private final String query;
    private transient JsonBid bid;
    private transient StringBuilder text;

    Query(String query) {
      this.query = query;
    }

    @Override
    public void flatMap(byte[] json, Collector<byte[]> out) throws IOException {
      if (bid == null) {
        bid = new JsonBid();
        text = new StringBuilder();
      }
      bid.read(json);
      switch (query) {
        case "q0" -> out.collect(bid.write(text));
        case "q1" -> {
          bid.price *= 908;
          out.collect(bid.write(text));
        }
        case "q2" -> {
          if (bid.auction % 123 == 0) out.collect(bid.writePrice(text));
        }
        default -> throw new IllegalArgumentException("there is no " + query + " here");
      }
    }
  }

  private static final class Bytes implements DeserializationSchema<byte[]> {
    @Override
    public byte[] deserialize(byte[] message) {
      return message;
    }
    @Override
    public boolean isEndOfStream(byte[] next) {
      return false;
    }
    @Override
    public TypeInformation<byte[]> getProducedType() {
      return PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
    }
  }

  private static final class AsItIs implements SerializationSchema<byte[]> {
    @Override
    public byte[] serialize(byte[] row) {
      return row;
    }
  }
}
