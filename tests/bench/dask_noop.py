"""Prints how many tasks that do nothing Dask's distributed scheduler hands out per second: workers in processes of their own on
this machine, nothing durable. usage: dask_noop.py TASKS"""

import sys
import time

from dask.distributed import Client


def nothing(_):
    return None


def main():
    tasks = int(sys.argv[1])
    with Client(n_workers=2, threads_per_worker=4, dashboard_address=None) as client:
        client.gather(client.map(nothing, range(200), pure=False))
        begin = time.perf_counter()
        client.gather(client.map(nothing, range(tasks), pure=False))
        print(tasks / (time.perf_counter() - begin))


if __name__ == "__main__":
    main()
