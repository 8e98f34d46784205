"""The annotation files of ROCO as upstream published them at commit a1f0ad6: git's blob ids, by path."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hashlib import _Hash

COMMIT: Final = "a1f0ad6c578ca8801e5a6eccc90af051aee1c326"


def blob_hash(size: int) -> _Hash:
    """Return git's hash of a blob of `size` bytes, to be fed its content (Git Internals, "Git Objects").

    Example:
        >>> blob_hash(0).hexdigest()
        'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


BLOBS: Final = {
    "data/test/non-radiology/captions.txt": "5c5c9988518d991706415c5e0e57ab19b5008b05",
    "data/test/non-radiology/cuis.txt": "b5d0812dcb1ff6d9304ae56658a085277bff6697",
    "data/test/non-radiology/dlinks.txt": "714e8d6fd6b0489b5694aa0afb3d2a39fcefa512",
    "data/test/non-radiology/keywords.txt": "d8839b0f735a7a849059f16478bd1f8bdf8f131d",
    "data/test/non-radiology/licences.txt": "262ff9c20d99c8387b92f8697899fd9ed33bfe89",
    "data/test/non-radiology/semtypes.txt": "ba1fd6fcefc6325fdc912907309e4c25053a0e64",
    "data/test/radiology/captions.txt": "55899b9363b73210b8821a8f6d029221510f5dc0",
    "data/test/radiology/cuis.txt": "66be85a1e6b8dc47a77242089cd126c861cd00eb",
    "data/test/radiology/dlinks.txt": "4deed7c8925c9bd96d21f1dfbec09dab818c6c41",
    "data/test/radiology/keywords.txt": "360c8ed0b609ef8735252503da0fdf793f8bc501",
    "data/test/radiology/licences.txt": "d9f9c06d8dd9ec8b8d858b70b1cc4dd1e28b2d19",
    "data/test/radiology/semtypes.txt": "9d4c1d68d6100d1bee7b08cca3a646de10efd173",
    "data/train/non-radiology/captions.txt": "cde4676f12961a26ee4703e7571f521708d14620",
    "data/train/non-radiology/cuis.txt": "f3cf23ee7aa6ee7986c122dba3522d6bfce99bf6",
    "data/train/non-radiology/dlinks.txt": "dd6b75699699c44db23f287cdf1078b914b4404a",
    "data/train/non-radiology/keywords.txt": "52a6af69320e2d69b227e1e7f53c2483b3f80546",
    "data/train/non-radiology/licences.txt": "896fa205fc0548a38490f5ee4c54fbff64d2193a",
    "data/train/non-radiology/semtypes.txt": "2f83314beb0a3b6a46462841194d90861d40a0c4",
    "data/train/radiology/captions.txt": "62c3109cf2f89d187ec5073462e3d788ae1d2611",
    "data/train/radiology/cuis.txt": "bbe0ad7b732b434de459bed13f2d30bfc588112f",
    "data/train/radiology/dlinks.txt": "3f093d7d2399a09ae7a18259390c6628c769c23b",
    "data/train/radiology/keywords.txt": "73f92036dd2772ad04639c7af34a72bf13a30c4e",
    "data/train/radiology/licences.txt": "143c74a70e11eb88dabc8cc66f58a96cd44a0af7",
    "data/train/radiology/semtypes.txt": "f3efd1282ce5a714c53a67482c586b03e27922dd",
    "data/validation/non-radiology/captions.txt": "15b0731420f49f424ebd0e04f7190b8454fac6a6",
    "data/validation/non-radiology/cuis.txt": "682ffce534249adc94c91d35c649c577fbbdc2b6",
    "data/validation/non-radiology/dlinks.txt": "4aed6e88f96dd99aa944ac8933f3816caa8e446f",
    "data/validation/non-radiology/keywords.txt": "f1d82e2e2ea8634e4e2df4bf2e4e60c50dd95901",
    "data/validation/non-radiology/licences.txt": "dcb2614dae483acbdedc68c2ee8545c2911e787a",
    "data/validation/non-radiology/semtypes.txt": "ab147c4ec0982519258b88e743c88b0725ddcc84",
    "data/validation/radiology/captions.txt": "5477ea2ae1f62dfcf70ae46ea9d571cce26c46b8",
    "data/validation/radiology/cuis.txt": "9708e8d1faaa979dce06d6aebf1c306f0a44436c",
    "data/validation/radiology/dlinks.txt": "c2cb196cca8dcc04ec8185a46f4563e91f2f06c1",
    "data/validation/radiology/keywords.txt": "06bf52c522d5a6ee845425618bb8efb082126530",
    "data/validation/radiology/licences.txt": "702b61f0a732e7f3e535683b69015ba1abcd99ab",
    "data/validation/radiology/semtypes.txt": "e92bd6681ad0296907e647eb2338b4bfea9fde77",
}
