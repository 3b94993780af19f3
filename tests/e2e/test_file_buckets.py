"""The main job's rows in a folder for each hour of event time."""
from datetime import datetime, timezone

from file_job import FileJob, event


def folder_of(row):
    return datetime.fromisoformat(row["computed_at"]).astimezone(timezone.utc).strftime("day=%Y-%m-%d/%H")


def test_rows_are_in_the_folder_of_their_hour_exactly_once(tmp_path):
    job = FileJob(tmp_path)
    job.config["source"]["file"]["follow"] = True
    job.config["sinks"]["file"]["bucket"] = "day=%Y-%m-%d/%H"
    for hour in range(24):
        # Users of an hour of their own: a row for each, and that for the empty window when the next hour has come.
        job.append(hour % 2, event(f"u{hour}", hour * 3600))
        if hour % 6 == 5:
            job.start()
            job.wait_rows(hour + 1)
            job.kill()
    job.config["source"]["file"]["follow"] = False
    plain = FileJob(tmp_path / "plain")
    plain.config["source"]["file"]["dir"] = str(job.events)
    assert job.run() == 0, job.log
    assert plain.run() == 0, plain.log
    assert sorted(map(str, job.rows())) == sorted(map(str, plain.rows()))
    folders = list(job.rows_folder.glob("day=*/*"))
    assert len(folders) == 24
    for folder in folders:
        assert {folder_of(row) for row in job.rows(folder)} == {f"{folder.parent.name}/{folder.name}"}


def test_a_bucket_that_is_none_is_refused(tmp_path):
    job = FileJob(tmp_path)
    job.append(0, event("u", 0))
    code, _, said = job.tell("--set", "sinks.file.bucket=all")
    assert code == 2
    assert "has no part of time in it: all" in said
