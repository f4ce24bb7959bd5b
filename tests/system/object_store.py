"""What tests with blobs in S3 share. They are run by tests/support/s3/s3_server.py, which starts a real S3 server and tells where
it is by the environment."""

import os
import re

from product import ProductTest


def calls(server, method, code="OK"):
    """How many calls of that method ended so."""
    pattern = f'distill_grpc_server_handled_total\\{{grpc_code="{code}",grpc_method="{method}"\\}} (\\d+)'
    found = re.search(pattern, server.get("/metrics"))
    return int(found.group(1)) if found else 0


class ObjectStoreTestCase(ProductTest):
    def setUp(self):
        super().setUp()
        if "DISTILL_S3_ENDPOINT" not in os.environ:
            self.skipTest("needs the S3 server that tests/support/s3/s3_server.py starts")
        self.keys = self.product.write("keys", "[default]\naws_access_key_id = {AWS_ACCESS_KEY_ID}\n"
                                       "aws_secret_access_key = {AWS_SECRET_ACCESS_KEY}\n".format(**os.environ))
        os.chmod(self.keys, 0o600)

    def s3_flags(self, prefix=""):
        """Where the blobs of this test are; `prefix` is empty or ends in a slash."""
        return ["--blobs", "s3", "--s3-endpoint", os.environ["DISTILL_S3_ENDPOINT"],
                "--s3-bucket", os.environ["DISTILL_S3_BUCKET"], "--s3-region", os.environ["DISTILL_S3_REGION"],
                "--s3-credentials-file", self.keys, "--s3-prefix", f"{os.path.basename(self.product.dir)}/{prefix}"]
