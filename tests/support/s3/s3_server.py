"""Runs a command beside a real S3 server: OpenStack Swift with its S3 interface, as plain processes in a temporary folder.

usage: s3_server.py [--keep] [--] COMMAND [ARGUMENT...]

Needs the Debian packages swift-proxy, swift-account, swift-container and swift-object; exits with 77 without them. Needs no
root, no service manager and no fixed port. The command finds the server in its environment: DISTILL_S3_ENDPOINT,
DISTILL_S3_BUCKET (made already), DISTILL_S3_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. When the command ends the
server does, and its folder goes; the exit status is that of the command. --keep leaves the folder, for its logs.
"""

import ctypes
import datetime
import getpass
import hashlib
import hmac
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SERVERS = ("account", "container", "object", "proxy")
REGION = "us-east-1"
ACCESS_KEY = "distill:tester"
SECRET_KEY = "not-a-secret-0123456789"
BUCKET = "distill-test"
START_SECONDS = 60

STORAGE_CONF = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {root}
devices = {root}/devices
mount_check = false
disable_fallocate = true
workers = 0
log_level = WARNING
fallocate_reserve = 0

[pipeline:main]
pipeline = {name}-server

[app:{name}-server]
use = egg:swift#{name}
"""

PROXY_CONF = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {root}
workers = 0
log_level = WARNING

[pipeline:main]
pipeline = catch_errors gatekeeper cache s3api tempauth bulk copy slo dlo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:tempauth]
use = egg:swift#tempauth
user_distill_tester = {secret} .admin .reseller_admin

[filter:s3api]
use = egg:swift#s3api
location = {region}
s3_acl = false
dns_compliant_bucket_names = true
max_upload_part_num = 10000

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1

[filter:bulk]
use = egg:swift#bulk

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:gatekeeper]
use = egg:swift#gatekeeper

[filter:slo]
use = egg:swift#slo

[filter:dlo]
use = egg:swift#dlo

[filter:copy]
use = egg:swift#copy
"""

SWIFT_CONF = """[swift-hash]
swift_hash_path_suffix = distill
swift_hash_path_prefix = distill
"""


def end_with_parent():
    """Asks the kernel to end this process when the one that started it is gone."""
    ctypes.CDLL("libc.so.6", use_errno=True).prctl(1, signal.SIGKILL)


def free_ports(count):
    """Returns ports that nothing listens on; all are held until the last is known."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def build_ring(root, name, port):
    builder = os.path.join(root, f"{name}.builder")
    for arguments in (("create", "1", "1", "0"), ("add", f"r1z1-127.0.0.1:{port}/disk", "1"), ("rebalance",)):
        done = subprocess.run(["/usr/bin/swift-ring-builder", builder, *arguments], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):  # 1 is a warning.
            raise RuntimeError(f"cannot build ring {name}: {done.stdout}{done.stderr}")


def signed_put_bucket(port):
    """Makes the bucket, with a signed request of its own, so that this needs no client."""
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    empty = hashlib.sha256(b"").hexdigest()
    host = f"127.0.0.1:{port}"
    canonical = f"PUT\n/{BUCKET}\n\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{stamp}\n\n" \
                f"host;x-amz-content-sha256;x-amz-date\n{empty}"
    scope = f"{day}/{REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + SECRET_KEY.encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers = {
        "x-amz-content-sha256": empty, "x-amz-date": stamp, "Content-Length": "0",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, "
                         f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("PUT", f"/{BUCKET}", headers=headers)
        response = connection.getresponse()
        body = response.read()
        return response.status, body
    finally:
        connection.close()


def wait_for_bucket(port, processes):
    """Makes the bucket as soon as all servers answer."""
    deadline = time.monotonic() + START_SECONDS
    answer = None
    while time.monotonic() < deadline:
        for process in processes:
            if process.poll() is not None:
                raise RuntimeError(f"server ended with {process.returncode}: {process.args}")
        try:
            answer = signed_put_bucket(port)
            if answer[0] == 200:
                return
        except OSError as error:
            answer = error
        time.sleep(0.1)
    raise RuntimeError(f"the bucket cannot be made: {answer}")


def start(root):
    """Starts the four servers; returns the processes and the port of the S3 interface."""
    ports = dict(zip(SERVERS, free_ports(len(SERVERS))))
    write(os.path.join(root, "swift.conf"), SWIFT_CONF)
    os.makedirs(os.path.join(root, "devices", "disk"))
    for name in SERVERS[:3]:
        build_ring(root, name, ports[name])
    processes = []
    environment = dict(os.environ, SWIFT_DIR=root, PYTHONWARNINGS="ignore")
    for name in SERVERS:
        template = PROXY_CONF if name == "proxy" else STORAGE_CONF
        path = os.path.join(root, f"{name}.conf")
        write(path, template.format(name=name, port=ports[name], root=root, user=getpass.getuser(),
                                    secret=SECRET_KEY, region=REGION))
        with open(os.path.join(root, f"{name}.log"), "wb") as log:
            processes.append(subprocess.Popen([f"/usr/bin/swift-{name}-server", path, "verbose"], stdin=subprocess.DEVNULL,
                                              stdout=log, stderr=log, env=environment, preexec_fn=end_with_parent,
                                              start_new_session=True))
    wait_for_bucket(ports["proxy"], processes)
    return processes, ports["proxy"]


def stop(processes):
    """Ends the servers with all their children."""
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def show_logs(root):
    for name in SERVERS:
        path = os.path.join(root, f"{name}.log")
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                sys.stderr.write("".join(f"{name}: {line}" for line in file.readlines()[-20:]))


def main():
    arguments = sys.argv[1:]
    keep = bool(arguments) and arguments[0] == "--keep"
    arguments = arguments[1:] if keep else arguments
    arguments = arguments[1:] if arguments and arguments[0] == "--" else arguments
    if not arguments:
        sys.stderr.write(__doc__)
        return 2
    if any(not os.path.exists(f"/usr/bin/swift-{name}-server") for name in SERVERS):
        print("needs the packages swift-proxy, swift-account, swift-container and swift-object", file=sys.stderr)
        return 77
    # Whoever ends this ends the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    root = tempfile.mkdtemp(prefix="distill-s3-")
    processes = []
    try:
        processes, port = start(root)
        environment = dict(os.environ, DISTILL_S3_ENDPOINT=f"http://127.0.0.1:{port}", DISTILL_S3_BUCKET=BUCKET,
                           DISTILL_S3_REGION=REGION, AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
        status = subprocess.run(arguments, env=environment, check=False).returncode
        if status != 0:
            show_logs(root)
        return status if status >= 0 else 128 - status
    except RuntimeError as error:
        print(f"cannot run an S3 server: {error}", file=sys.stderr)
        show_logs(root)
        return 1
    finally:
        stop(processes)
        if keep:
            print(f"kept: {root}", file=sys.stderr)
        else:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
