"""Windows by number of records: of N and then anew, or of all so far at each N-th."""
from aggregates import aggregate_function
from stages import Output, Stage
from values import point_row


class GlobalWindows(Stage):
    def __init__(self, stage):
        super().__init__()
        self.count, self.every = stage.parameters["count"], stage.parameters["every"]
        self.aggregate = aggregate_function(stage.aggregate, stage.size)
        self.taken = {}  # key -> its records in the order of arrival

    def batch(self, records):
        outputs = []
        for record in records:
            taken = self.taken.setdefault(record.key, [])
            taken.append(record)
            if len(taken) % (self.count or self.every) != 0:
                continue
            time, result = max(one.time for one in taken), self.aggregate(taken)
            outputs.append(Output(point_row(record.key, time, result), record.key, time, result))
            if self.count:
                taken.clear()
        return outputs

    def advance(self, watermark):
        self.watermark = watermark
        return []
