"""The words of scenarios: what they mean, what is refused, and that they survive being written down."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.bank.scenario import OK, SECONDS_MAX, Scenario, about_payment, parse, spelled

S = timedelta(seconds=1)

GOOD = [
    ("ok", OK),
    ("decline:insufficient_funds", Scenario(decline="insufficient_funds")),
    ("decline:001:002", Scenario(decline="001:002")),
    ("decline:Do not honour", Scenario(decline="Do not honour")),
    ("pending:30", Scenario(pending=30 * S)),
    ("pending:30:ok", Scenario(pending=30 * S)),
    ("pending:0.5:decline", Scenario(pending=S / 2, pending_ends="decline")),
    ("pending:7:late_failure", Scenario(pending=7 * S, pending_ends="late_failure")),
    ("slow:2", Scenario(slow=2 * S)),
    ("lost_answer:executed", Scenario(lost_answer="executed")),
    ("lost_answer:not_executed", Scenario(lost_answer="not_executed")),
    ("error_after_execution", Scenario(error_after_execution=True)),
    ("late_failure:60", Scenario(late_failure=60 * S)),
    ("wrong_amount:1", Scenario(wrong_amount=1)),
    ("requires_action", Scenario(requires_action=True)),
    ("dispute:5", Scenario(dispute=5 * S)),
    ("dispute:5:won", Scenario(dispute=5 * S, dispute_ends="won")),
    ("dispute:5:lost", Scenario(dispute=5 * S, dispute_ends="lost")),
    ("return:9", Scenario(returned=9 * S)),
    ("list_lag:10", Scenario(list_lag=10 * S)),
    ("pending:30+lost_answer:executed", Scenario(pending=30 * S, lost_answer="executed")),
    (" slow:1 + list_lag:0.000001 ", Scenario(slow=S, list_lag=timedelta(microseconds=1))),
    ("decline:x+pending:3:decline", Scenario(decline="x", pending=3 * S, pending_ends="decline")),
    (f"pending:{SECONDS_MAX}", Scenario(pending=SECONDS_MAX * S)),
]

BAD = [
    ("", "not known"),
    ("OK", "not known"),
    ("okay", "not known"),
    ("ok+", "not known"),
    ("ok:1", "stands alone"),
    ("requires_action:now", "stands alone"),
    ("error_after_execution:", "stands alone"),
    ("slow:1+slow:2", "twice"),
    ("decline", "needs a code"),
    ("decline:", "needs a code"),
    ("decline: ", "needs a code"),
    ("decline:\n", "needs a code"),
    ("decline:" + "x" * 121, "needs a code"),
    ("pending", "needs seconds"),
    ("pending:", "needs seconds"),
    ("pending:x", "needs seconds"),
    ("pending:-1", "needs seconds"),
    ("pending:1e3", "needs seconds"),
    ("pending:١", "needs seconds"),
    (f"pending:{SECONDS_MAX}.1", "needs seconds"),
    ("pending:999999999999999", "needs seconds"),
    ("pending:1:lost", "ends as ok, decline or late_failure"),
    ("pending:1:", "ends as ok, decline or late_failure"),
    ("slow:", "needs seconds"),
    ("slow:1:2", "needs seconds"),
    ("lost_answer", "lost_answer:executed"),
    ("lost_answer:maybe", "lost_answer:executed"),
    ("wrong_amount:0", "positive number"),
    ("wrong_amount:-5", "positive number"),
    ("wrong_amount:1.5", "positive number"),
    ("wrong_amount:²", "positive number"),
    (f"wrong_amount:{2**63}", "positive number"),
    ("dispute:1:drawn", "is won or lost"),
    ("return", "needs seconds"),
    ("decline:x+late_failure:1", "contradict"),
    ("decline:x+wrong_amount:1", "contradict"),
    ("lost_answer:executed+requires_action", "contradict"),
    ("error_after_execution+lost_answer:executed", "contradict"),
    ("decline:x+pending:1", "says so"),
    ("pending:1:decline+wrong_amount:4", "neither pays"),
]


@pytest.mark.parametrize(("text", "meant"), GOOD)
def test_a_scenario_means(text: str, meant: Scenario):
    assert parse(text) == meant


@pytest.mark.parametrize(("text", "sentence"), BAD)
def test_a_bad_scenario_is_refused_with_a_sentence(text: str, sentence: str):
    with pytest.raises(ValueError, match=sentence) as caught:
        parse(text)
    assert str(caught.value).endswith(".") or str(caught.value).endswith("<s>.")


@pytest.mark.parametrize(("text", "meant"), GOOD)
def test_a_scenario_survives_being_written_down(text: str, meant: Scenario):
    assert parse(spelled(meant)) == meant
    assert spelled(parse(spelled(meant))) == spelled(meant)


@given(
    st.builds(
        Scenario,
        pending=st.none() | st.timedeltas(timedelta(0), SECONDS_MAX * S),
        slow=st.timedeltas(timedelta(0), SECONDS_MAX * S),
        wrong_amount=st.none() | st.integers(1, 2**63 - 1),
        dispute=st.none() | st.timedeltas(timedelta(0), SECONDS_MAX * S),
        list_lag=st.timedeltas(timedelta(0), SECONDS_MAX * S),
    )
)
def test_every_figure_survives_being_written_down(scenario: Scenario):
    assert parse(spelled(scenario)) == scenario


def test_only_disputes_and_returns_are_about_the_payment():
    assert about_payment(parse("slow:1+dispute:5:won+return:2+list_lag:4")) == parse("dispute:5:won+return:2")
    assert about_payment(parse("pending:1+wrong_amount:4")) == OK
