# SPDX-License-Identifier: Apache-2.0
"""Archives of ``torch.export.save``, read without executing anything that stands in them."""
