"""The file that a chapter leaves of its claims."""

import json
from pathlib import Path

import pytest

from began.claims import Claim, save_claims

FOUND = {
    "claim": "C8",
    "paper": "does best",
    "ours": 1 / 3,
    "low": 0.25,
    "high": 0.5,
    "unit": "share",
    "seeds": 10,
    "data": "grid",
    "verdict": "differs",
    "section": "here",
}


def test_claims_are_saved_for_their_chapter(tmp_path: Path, monkeypatch):
    (tmp_path / "data/artifacts").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    path = save_claims(9, [Claim(**FOUND)])
    assert path == tmp_path / "data/claims/09.json"
    assert json.loads(path.read_text()) == [{**FOUND, "ours": 0.3333}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "proved"}, "verdict must be one of reproduced, differs, not reproduced, open, got 'proved'"),
        ({"low": 0.4}, r"ours must lie in \[low, high\] = \[0.4, 0.5\], got 0.33"),
        ({"ours": float("nan")}, "got nan"),
    ],
)
def test_a_claim_that_says_nothing_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Claim(**{**FOUND, **change})
