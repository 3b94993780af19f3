#include "jobs/feature_pipeline/pipeline.h"

namespace tidemill::features {

Stream<FeatureRow> build(const Stream<UserEvent>& events, const FeatureWindows& windows,
                         const TrailingOptions& options) {
  return events.key_by(UserOf{}).process<FeatureWindow>(
      "features", windows.windows, options, UserOf{}, LogOrder{}, FinishFeatures{windows.largest});
}

}  // namespace tidemill::features
