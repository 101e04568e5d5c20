# SPDX-License-Identifier: Apache-2.0
"""What tests of training share."""

import pytest
import torch


@pytest.fixture
def one_thread():
    """Tests run side by side; threads of torch would be in each other's way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
