#include "connectors/print/print_sink.h"

#include <cstdio>
#include <memory>

namespace tidemill {
namespace {

class PrintSink final : public Sink {
 public:
  void write(const OutputBatch& batch) override {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const OutputBatch::Row row = batch.row(i);
      std::fwrite(row.value.data(), 1, row.value.size(), stdout);
      std::fputc('\n', stdout);
    }
    std::fflush(stdout);
  }
};

}  // namespace

SinkSpec print_sink() {
  SinkSpec spec;
  spec.kind = "print sink";
  spec.parallelism = 1;
  spec.parts = std::vector<std::string>{};
  spec.make = [](OperatorContext&) { return std::make_unique<PrintSink>(); };
  return spec;
}

}  // namespace tidemill
