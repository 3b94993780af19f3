package compare;

import com.hazelcast.jet.Traverser;
import com.hazelcast.jet.core.AbstractProcessor;
import com.hazelcast.jet.core.EventTimeMapper;
import com.hazelcast.jet.core.EventTimePolicy;
import com.hazelcast.jet.core.ProcessorMetaSupplier;
import com.hazelcast.jet.core.ProcessorSupplier;
import com.hazelcast.jet.pipeline.Sources;
import com.hazelcast.jet.pipeline.StreamSource;
import java.util.Collections;

/** Rows that were made before the clock starts as a stream that ends: local edges pass references, so nothing is copied. */
final class MemorySource extends AbstractProcessor {
  /** What the job of this process reads; `at` are the rows' times. */
  static volatile Object[] rows;
  static volatile long[] at;

  private final Traverser<Object> events;

  private MemorySource(EventTimePolicy<? super Object> policy) {
    EventTimeMapper<Object> mapper = new EventTimeMapper<>(policy);
    mapper.addPartitions(1);
    Object[] all = rows;
    long[] times = at;
    int[] next = {0};
    Traverser<Object> each = () -> next[0] < all.length ? all[next[0]++] : null;
    events = each.flatMap(row -> mapper.flatMapEvent(row, 0, times[next[0] - 1]));
  }

  @Override
  public boolean complete() {
    Tally.current.begin();
    return emitFromTraverser(events);
  }

  @SuppressWarnings("unchecked")
  static <T> StreamSource<T> stream() {
    return (StreamSource<T>) Sources.streamFromProcessorWithWatermarks("events", true,
        (EventTimePolicy<? super Object> policy) -> ProcessorMetaSupplier.forceTotalParallelismOne(
            (ProcessorSupplier) count -> Collections.singletonList(new MemorySource(policy))));
  }
}
