"""TLS and logins reach librdkafka from the configuration; passwords come from a file or the
environment and show nowhere."""

import pytest

from job import FINISHED, WRONG_USAGE
from ledger_run import LedgerRun
from secure_broker import PASSWORD, USER, SecureCluster


@pytest.fixture(scope="module")
def secure(scratch):
    cluster = SecureCluster(scratch / "secure")
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def make_run(secure, name, folder, ca=None, **login):
    def settings(config):
        config["source"]["kafka"] |= login
        config["source"]["kafka"]["properties"] = {
            "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": USER,
            "ssl.ca.location": str(ca or secure.ca)}

    return LedgerRun(secure, name, folder, brokers=secure.secure_address, configure=settings)


@pytest.mark.parametrize("place", ["file", "env"])
def test_a_job_logs_in_over_tls(secure, name, tmp_path, monkeypatch, place):
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    monkeypatch.setenv("KAFKA_SECRET", PASSWORD)
    login = {"file": {"password_file": str(file)}, "env": {"password_env": "KAFKA_SECRET"}}[place]
    run = make_run(secure, name, tmp_path, **login)
    try:
        assert PASSWORD not in run.job.ask("--print-config")[1]
        assert run.job.ask("--validate")[0] == FINISHED
        run.input.write(300)
        run.job.start()
        run.wait_total(300)
        with open(f"/proc/{run.job.child.process.pid}/cmdline", "rb") as command:
            assert PASSWORD.encode() not in command.read()
        verdict = run.finish()
        assert verdict.ok, verdict
        assert PASSWORD not in run.job.log
        assert not any(PASSWORD.encode() in path.read_bytes()
                       for path in run.job.checkpoints.rglob("*") if path.is_file())
    finally:
        run.close()


@pytest.mark.parametrize("what", ["password", "authority"])
def test_who_is_not_let_in_is_told_so(secure, name, tmp_path, monkeypatch, what):
    monkeypatch.setenv("KAFKA_SECRET", "not-" + PASSWORD if what == "password" else PASSWORD)
    ca = secure.foreign_ca if what == "authority" else None
    run = make_run(secure, name, tmp_path, ca=ca, password_env="KAFKA_SECRET")
    try:
        exit_code = run.job.run(deadline_s=60)
        assert exit_code == WRONG_USAGE, run.job.child.tail()
        assert ("uthentication" if what == "password" else "certificate verify failed") in run.job.log
        assert PASSWORD not in run.job.log
    finally:
        run.close()
