"""Checkpoints: pieces survive, and what cannot be kept is said."""

import logging

import numpy as np

from rag.store.checkpoint import Checkpoint


def test_pieces_survive_until_they_are_removed(tmp_path):
    vectors, rows = np.arange(6.0).reshape(2, 3), np.array([4, 5])
    Checkpoint(tmp_path / "pass").put(7, [vectors, rows])
    kept = Checkpoint(tmp_path / "pass").get(7, 2)
    assert kept is not None
    assert [array.tolist() for array in kept] == [vectors.tolist(), rows.tolist()]
    Checkpoint(tmp_path / "pass").remove()
    assert Checkpoint(tmp_path / "pass").get(7, 2) is None


def test_a_damaged_piece_is_none(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.put(0, [np.arange(100)])
    whole = (tmp_path / "0.npy").read_bytes()
    (tmp_path / "0.npy").write_bytes(whole[:-8])
    assert checkpoint.get(0, 1) is None


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path, caplog):
    (tmp_path / "pass").write_text("a file where the folder should be")
    checkpoint = Checkpoint(tmp_path / "pass")
    with caplog.at_level(logging.WARNING, logger="rag.store"):
        checkpoint.put(0, [np.arange(3)])
        checkpoint.put(1, [np.arange(3)])
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'pass'}: cannot be written (File exists): work since the last checkpoint is lost if this process "
        "is stopped"
    ]
    assert checkpoint.get(0, 1) is None
