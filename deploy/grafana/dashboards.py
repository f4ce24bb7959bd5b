"""Writes the dashboards beside it, fleet.json and so on, from the descriptions below: `python3 dashboards.py`.

One description a panel keeps data source, variables, units and layout alike on all of them; a test holds the files to
what this makes. Grafana reads the JSON; this file is for those who change a panel.
"""

import json
import os

# How the queries pick an installation, and machines of it.
JOB = 'job=~"$job"'
HOST = JOB + ', instance=~"$instance"'
PROJECT = JOB + ', project=~"$project"'

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 24


def rate(metric, labels=JOB, by=""):
    """Per-second rate of a counter, summed."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{labels}}}[$__rate_interval]))"


def quantile(q, metric, labels=JOB, by=""):
    """A quantile of a histogram."""
    keep = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({keep}) (rate({metric}_bucket{{{labels}}}[$__rate_interval])))"


def ratio(part, whole):
    """part/whole, 0 while there is nothing to take a part of."""
    return f"{part} / clamp_min({whole}, 1e-9)"


class Panel:
    """`queries`: legend -> expression. `unit` is one of Grafana's."""

    def __init__(self, title, unit, queries, description, **options):
        self.title, self.unit, self.queries, self.description = title, unit, queries, description
        self.stacked = options.get("stacked", False)
        self.most = options.get("most")
        self.kind = options.get("kind", "timeseries")

    def json(self, number, place):
        field = {"unit": self.unit, "min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}}
        if self.kind != "timeseries":
            del field["custom"]
        elif self.stacked:
            field["custom"].update({"stacking": {"mode": "normal"}, "fillOpacity": 40})
        if self.most is not None:
            field["max"] = self.most
        options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                   "tooltip": {"mode": "multi", "sort": "desc"}}
        if self.kind == "stat":
            options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
        return {
            "id": number, "type": self.kind, "title": self.title, "description": self.description,
            "datasource": _SOURCE, "gridPos": place,
            "fieldConfig": {"defaults": field, "overrides": []}, "options": options,
            "targets": [{"refId": chr(ord("A") + i), "expr": expression, "legendFormat": legend, "datasource": _SOURCE}
                        for i, (legend, expression) in enumerate(self.queries.items())],
        }


def _query_variable(name, label, query):
    return {"name": name, "label": label, "type": "query", "datasource": _SOURCE,
            "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
            "allValue": ".*", "current": {"text": "All", "value": "$__all"}}


_VARIABLES = {
    "datasource": {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
    "job": _query_variable("job", "Scrape job", "label_values(distill_build_info, job)"),
    "instance": _query_variable("instance", "Machine", f"label_values(distill_build_info{{{JOB}}}, instance)"),
    "project": _query_variable("project", "Project", f"label_values(distill_project_slots_in_use{{{JOB}}}, project)"),
}


def dashboard(name, title, description, variables, rows):
    """`rows`: [(heading, [Panel])]; panels of a row stand three beside each other."""
    panels, y = [], 0
    for heading, row in rows:
        panels.append({"id": len(panels) + 1, "type": "row", "title": heading, "collapsed": False, "panels": [],
                       "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": y}})
        y += 1
        for i, panel in enumerate(row):
            place = {"h": _HEIGHT, "w": _WIDTH, "x": i * _WIDTH % _COLUMNS, "y": y + i * _WIDTH // _COLUMNS * _HEIGHT}
            panels.append(panel.json(len(panels) + 1, place))
        y += -(-len(row) * _WIDTH // _COLUMNS) * _HEIGHT
    return {
        "uid": f"distillery-{name}", "title": f"Distillery: {title}", "description": description,
        "tags": ["distillery"], "schemaVersion": 38, "version": 1, "editable": True, "graphTooltip": 1,
        "refresh": "15s", "time": {"from": "now-1h", "to": "now"}, "timezone": "utc",
        "links": [{"type": "dashboards", "tags": ["distillery"], "title": "Distillery", "asDropdown": True,
                   "includeVars": True, "keepTime": True}],
        "templating": {"list": [_VARIABLES[v] for v in ("datasource", "job", *variables)]},
        "annotations": {"list": []}, "panels": panels,
    }


FLEET = dashboard("fleet", "fleet", "Who could work, who does, and how the machines are.", ["instance", "project"], [
    ("Workers", [
        Panel("Workers by state", "short", {"{{state}}": f"sum by (state) (distill_workers{{{JOB}}})"},
              "As the server sees them. Lost: silent for longer than a lease. Quarantined: failed too often in a row.",
              stacked=True),
        Panel("Slots by state", "short", {"{{state}}": f"sum by (state) (distill_worker_slots{{{HOST}}})"},
              "As the workers see them. Preparing: fetches inputs or starts a trainer.", stacked=True),
        Panel("Slots in use", "percentunit",
              {"running": ratio(f'sum(distill_worker_slots{{{HOST}, state="running"}})',
                                f"sum(distill_worker_slots{{{HOST}}})")},
              "Share of all slots that train.", most=1),
        Panel("Slots by project", "short",
              {"{{project}}": f"sum by (project) (distill_project_slots_in_use{{{PROJECT}}})"},
              "Which projects the slots work for.", stacked=True),
        Panel("Registered", "short", {"registered": f"sum(distill_worker_registered{{{HOST}}})",
                                      "scraped": f"count(distill_worker_registered{{{HOST}}})"},
              "Workers that the server knows and answers, beside all that Prometheus reaches."),
        Panel("Quarantines in the last hour", "short",
              {"workers": f"sum(increase(distill_workers_quarantined_total{{{JOB}}}[1h]))"},
              "Workers that were taken out after failures in a row.", kind="stat"),
    ]),
    ("Contact", [
        Panel("Longest silence", "s", {"oldest heartbeat": f"max(distill_worker_heartbeat_age_seconds{{{JOB}}})"},
              "Of the live worker that has been silent longest; a lease is lost at --lease-seconds."),
        Panel("Round trip of a heartbeat", "s",
              {"p50": quantile(0.5, "distill_worker_heartbeat_rtt_seconds", HOST),
               "p99": quantile(0.99, "distill_worker_heartbeat_rtt_seconds", HOST)},
              "Network and server together, measured by the workers."),
        Panel("Undelivered results", "short", {"{{instance}}": f"distill_worker_outbox_entries{{{HOST}}}"},
              "Finished work that the server has not acknowledged yet. It is on the worker's disk, and not lost."),
    ]),
    ("GPUs", [
        Panel("Utilisation", "percentunit",
              {"{{instance}} {{gpu}}": f"distill_worker_gpu_utilization_ratio{{{HOST}}}"},
              "Share of time that the GPU ran a kernel. Empty on machines without a driver of NVIDIA.", most=1),
        Panel("Memory in use", "percentunit",
              {"{{instance}} {{gpu}}":
               f"distill_worker_gpu_memory_used_bytes{{{HOST}}} / distill_worker_gpu_memory_total_bytes{{{HOST}}}"},
              "Of everybody on this GPU. Empty on machines without a driver of NVIDIA.", most=1),
        Panel("Power", "watt", {"{{instance}} {{gpu}}": f"distill_worker_gpu_power_watts{{{HOST}}}"},
              "What the board draws. Empty on machines without a driver of NVIDIA."),
        Panel("Temperature", "celsius", {"{{instance}} {{gpu}}": f"distill_worker_gpu_temperature_celsius{{{HOST}}}"},
              "Of the chip; above about 85 degrees it slows down. Empty on machines without a driver of NVIDIA."),
        Panel("Faults", "short",
              {"{{instance}} {{gpu}}": f"increase(distill_worker_gpu_errors_total{{{HOST}}}[1h])"},
              "Errors that the driver reported (Xid) in the last hour. Empty on machines without a driver of NVIDIA."),
    ]),
    ("Programs", [
        Panel("Processor", "short",
              {"{{job}} {{instance}}": f"sum by (job, instance) (rate(process_cpu_seconds_total{{{HOST}}}[$__rate_interval]))"},
              "Cores that the daemons use; trainers are processes of their own."),
        Panel("Memory", "bytes", {"{{job}} {{instance}}": f"process_resident_memory_bytes{{{HOST}}}"},
              "Resident memory of the daemons; trainers are processes of their own."),
        Panel("Versions", "short", {"{{job}} {{version}}": f"count by (job, version) (distill_build_info{{{HOST}}})"},
              "Programs by version; more than one line a job means that an upgrade is under way.", kind="stat"),
    ]),
])

_LATENCY = "distill_task_schedule_latency_seconds"
QUEUE = dashboard("queue", "queue", "What waits, how long, and for what.", ["project"], [
    ("Jobs", [
        Panel("Jobs by state", "short", {"{{state}}": f"sum by (state) (distill_jobs{{{JOB}}})"},
              "All jobs that the server knows; finished ones leave after --job-retention-hours.", stacked=True),
        Panel("Tasks by state", "short", {"{{state}}": f"sum by (state) (distill_tasks{{{JOB}}})"},
              "Blocked: an input is missing. Queued: it could run.", stacked=True),
        Panel("Done", "percentunit",
              {"tasks": ratio(f'sum(distill_tasks{{{JOB}, state="succeeded"}})', f"sum(distill_tasks{{{JOB}}})")},
              "Share of all known tasks that have succeeded.", most=1),
    ]),
    ("Waiting", [
        Panel("Queued tasks by reason", "short", {"{{reason}}": f"sum by (reason) (distill_queue_depth{{{JOB}}})"},
              "slot: for a fitting free slot. backoff: after a failure. equal_task: another job's equal task runs. "
              "`distill task explain` says more of one task.", stacked=True),
        Panel("Oldest ready task", "s", {"age": f"max(distill_queue_oldest_age_seconds{{{JOB}}})"},
              "How long the task that has waited longest has been ready; 0 without any."),
        Panel("Running tasks by project", "short",
              {"{{project}}": f"sum by (project) (distill_project_running_tasks{{{PROJECT}}})"},
              "Which projects are served.", stacked=True),
    ]),
    ("Scheduling", [
        Panel("From ready to leased", "s", {"p50": quantile(0.5, _LATENCY), "p99": quantile(0.99, _LATENCY)},
              "Includes the wait for a free slot. With free slots it should be milliseconds."),
        Panel("From ready to leased, by kind", "s", {"{{kind}}": quantile(0.99, _LATENCY, by="kind")},
              "p99 for each kind of task."),
        Panel("Leases", "ops", {"granted": rate("distill_leases_granted_total"),
                                "wanted back": rate("distill_preemptions_total")},
              "Leases given to workers, and taken back by pauses, drains and preemption."),
        Panel("Second attempts of stragglers", "ops", {"started": rate("distill_attempts_speculated_total")},
              "Attempts beside one that is much slower than its siblings."),
        Panel("Refused by quotas", "ops", {"submissions": rate("distill_quota_refusals_total")},
              "Submissions that would have exceeded their project's quota."),
        Panel("Transitions", "ops",
              {"{{from}}: {{event}}": rate("distill_task_transitions_total", by="from, event")},
              "What happens to tasks; the shape of a healthy run is a few lines."),
    ]),
    ("Saturation", [
        Panel("Calls that wait for the scheduler", "short", {"length": f"max(distill_event_queue_length{{{JOB}}})"},
              "One thread decides; at 100,000 waiting calls it refuses more."),
        Panel("Calls in one commit", "short",
              {"mean": ratio(rate("distill_db_batch_size_sum"), rate("distill_db_batch_size_count"))},
              "The busier the server, the more calls share a commit."),
    ]),
])

TRAINING = dashboard("training", "training", "What the trainers do right now.", ["instance"], [
    ("Now", [
        Panel("Images per second", "short",
              {"{{instance}} slot {{slot}}": f"distill_worker_train_images_per_second{{{HOST}}}"},
              "Speed of each slot; 0 while it is idle, assembles or evaluates."),
        Panel("Images per second, all", "short", {"fleet": f"sum(distill_worker_train_images_per_second{{{HOST}}})"},
              "Speed of the whole fleet.", kind="stat"),
        Panel("Loss", "short", {"{{instance}} slot {{slot}}": f"distill_worker_train_loss{{{HOST}}}"},
              "Training loss of the running attempt; a gap means an idle slot. A loss that is not finite ends its "
              "attempt."),
        Panel("Step", "short", {"{{instance}} slot {{slot}}": f"distill_worker_train_step{{{HOST}}}"},
              "Step of the running attempt; a level line that is not 0 is a stall."),
        Panel("Waiting for images", "percentunit",
              {"{{instance}} slot {{slot}}": f"distill_worker_data_wait_ratio{{{HOST}}}"},
              "Share of time that training waited for data.", most=1),
    ]),
    ("Tasks", [
        Panel("Attempts that ended", "ops", {"{{outcome}}": rate("distill_attempts_total", by="outcome")},
              "As the server counts them."),
        Panel("Duration, median", "s", {"{{kind}}": quantile(0.5, "distill_task_duration_seconds", by="kind")},
              "From leased to succeeded, by kind of task."),
        Panel("Duration, p99", "s", {"{{kind}}": quantile(0.99, "distill_task_duration_seconds", by="kind")},
              "From leased to succeeded, by kind of task."),
        Panel("Trainers started", "ops", {"{{trainer}}": rate("distill_worker_trainer_starts_total", HOST, "trainer")},
              "A warm trainer takes the next attempt of its job without loading LibTorch again."),
        Panel("Checkpoints", "s", {"p50": quantile(0.5, "distill_worker_checkpoint_seconds", HOST),
                                   "p99": quantile(0.99, "distill_worker_checkpoint_seconds", HOST)},
              "To hash and upload one; training goes on meanwhile."),
        Panel("Uploads", "s", {"p50": quantile(0.5, "distill_worker_upload_seconds", HOST),
                               "p99": quantile(0.99, "distill_worker_upload_seconds", HOST)},
              "To upload one blob of a result."),
    ]),
    ("Data sets", [
        Panel("Images read by the server", "ops", {"images": rate("distill_dataset_images_read_total")},
              "While data sets are registered or verified."),
        Panel("Data sets read", "ops", {"{{outcome}}": rate("distill_datasets_read_total", by="outcome")},
              "Registered or verified, by outcome."),
        Panel("Copies on workers", "bytes", {"{{instance}}": f"distill_worker_dataset_cache_bytes{{{HOST}}}"},
              "Data sets that were fetched from the server."),
    ]),
])

_LOOKUPS = "distill_cache_lookups_total"
_INPUTS = "distill_worker_cache_lookups_total"
REUSE = dashboard("reuse", "reuse", "Work that need not be done twice.", ["instance"], [
    ("Results", [
        Panel("Lookups of earlier results", "ops", {"{{result}}": rate(_LOOKUPS, by="result")},
              "Each task that becomes ready is looked up by its key. merged: an equal one was under way."),
        Panel("Reused", "percentunit",
              {"last hour": ratio(f'sum(increase({_LOOKUPS}{{{JOB}, result=~"hit|merged"}}[1h]))',
                                  f"sum(increase({_LOOKUPS}{{{JOB}}}[1h]))")},
              "Share of tasks that another task's result served.", most=1),
        Panel("Tasks that were not run", "short",
              {"{{result}}": f'sum by (result) (increase({_LOOKUPS}{{{JOB}, result=~"hit|merged"}}[1h]))'},
              "In the last hour.", kind="stat"),
        Panel("Results that differ", "short", {"cases": f"sum(distill_nondeterminism_detected_total{{{JOB}}})"},
              "Equal tasks that gave different bits, since the server started. Must stay 0.", kind="stat"),
        Panel("Device time saved", "s",
              {"{{kind}}": f"sum by (kind) (increase(distill_device_seconds_saved_total{{{JOB}}}[1h]))"},
              "What the reused results of the last hour had cost when they were made.", stacked=True),
        Panel("Saved of all", "percentunit",
              {"last hour": ratio(f"sum(increase(distill_device_seconds_saved_total{{{JOB}}}[1h]))",
                                  f"(sum(increase(distill_device_seconds_saved_total{{{JOB}}}[1h])) + "
                                  f"sum(increase(distill_device_seconds_spent_total{{{JOB}}}[1h])))")},
              "Device time that reuse saved, beside what would have been spent without.", most=1),
    ]),
    ("Inputs", [
        Panel("Inputs found on the worker's disk", "percentunit",
              {"hits": ratio(rate(_INPUTS, HOST + ', result="hit"'), rate(_INPUTS, HOST))},
              "Others are fetched from the server or the object store.", most=1),
        Panel("Inputs on disk", "bytes", {"{{instance}}": f"distill_worker_cache_bytes{{{HOST}}}"},
              "Bounded by --cache-bytes of each worker."),
        Panel("Warm starts", "percentunit",
              {"warm": ratio(rate("distill_worker_trainer_starts_total", HOST + ', trainer="warm"'),
                             rate("distill_worker_trainer_starts_total", HOST))},
              "Share of attempts that found a trainer of their job waiting.", most=1),
    ]),
])

FAULTS = dashboard("faults", "faults", "What breaks, and what it cost.", ["instance"], [
    ("Attempts", [
        Panel("Leases that expired", "ops", {"leases": rate("distill_lease_expirations_total")},
              "Workers that vanished, or lost the network for longer than a lease."),
        Panel("Unsuccessful attempts by cause", "ops",
              {"{{cause}}": rate("distill_attempts_total", JOB + ', outcome!="succeeded"', "cause")},
              "user: the job's own fault. preempted costs nothing of a budget. poison: kills every trainer."),
        Panel("Infrastructure's share", "percentunit",
              {"ratio": ratio(rate("distill_attempts_total", JOB + ', outcome=~"failed|expired", cause="infrastructure"'),
                              rate("distill_attempts_total"))},
              "Of all attempts that ended, those that the machines made fail.", most=1),
        Panel("Saved from expired leases", "ops", {"results": rate("distill_attempt_salvaged_total")},
              "Results that came after their lease had run out and were taken all the same."),
        Panel("Refused as stale", "ops", {"calls": rate("distill_stale_rpc_rejected_total")},
              "Calls for leases that somebody else holds by now: the fence works."),
        Panel("Stalled", "ops", {"attempts": rate("distill_attempts_stalled_total")},
              "Attempts that the server ended because they made no progress."),
        Panel("Device time lost by cause", "s",
              {"{{cause}}": f"sum by (cause) (increase(distill_device_seconds_lost_total{{{JOB}}}[1h]))"},
              "In the last hour: work that is in no result and in no checkpoint that was kept.", stacked=True),
        Panel("Lost share of device time", "percentunit",
              {"last hour": ratio(f"(sum(increase(distill_device_seconds_lost_total{{{JOB}}}[1h])) - "
                                  f"sum(increase(distill_device_seconds_regained_total{{{JOB}}}[1h])))",
                                  f"sum(increase(distill_device_seconds_spent_total{{{JOB}}}[1h]))")},
              "Lost, less what came in late after all, of all device time that was spent.", most=1),
    ]),
    ("Workers", [
        Panel("Trainers that died", "ops", {"{{instance}}": rate("distill_worker_trainer_deaths_total", HOST, "instance")},
              "On their own: out of memory, a fault of a GPU, a bug."),
        Panel("Attempts on workers", "ops", {"{{outcome}}": rate("distill_worker_attempts_total", HOST, "outcome")},
              "As the workers count them. abandoned: the lease was lost."),
        Panel("Lost and quarantined", "short",
              {"{{state}}": f'sum by (state) (distill_workers{{{JOB}, state=~"lost|quarantined"}})'},
              "Workers that get no tasks."),
    ]),
    ("Servers", [
        Panel("Who leads", "short", {"{{instance}}": f"distill_server_leading{{{JOB}}}"},
              "1 for the server that leads, 0 for those that stand by. The sum is 1 but for the moment of a takeover.",
              most=1),
        Panel("Leaders", "short", {"leaders": f"sum(distill_server_leading{{{JOB}}})"}, "Should be 1.", kind="stat"),
        Panel("Reached by Prometheus", "short", {"{{job}} {{instance}}": f"up{{{JOB}}}"},
              "0: the program does not answer.", most=1),
        Panel("Restarts in the last hour", "short",
              {"{{job}} {{instance}}": f"changes(process_start_time_seconds{{{HOST}}}[1h])"},
              "Also of those that systemd started again.", kind="stat"),
    ]),
    ("Never to be seen", [
        Panel("Corrupt blobs", "short", {"server": f"sum(distill_blob_corruption_total{{{JOB}}})",
                                         "workers": f"sum(distill_worker_blob_corruption_total{{{HOST}}})"},
              "Stored or fetched bytes that were not what their digest says, since the start.", kind="stat"),
        Panel("Results that differ", "short", {"cases": f"sum(distill_nondeterminism_detected_total{{{JOB}}})"},
              "Equal tasks that gave different bits, since the server started.", kind="stat"),
    ]),
])

STORAGE = dashboard("storage", "storage", "The database, the blobs, and the disk under them.", [], [
    ("Blobs", [
        Panel("Bytes by class", "bytes", {"{{class}}": f"sum by (class) (distill_blob_bytes{{{JOB}}})"},
              "What retention looks after.", stacked=True),
        Panel("Blobs by class", "short", {"{{class}}": f"sum by (class) (distill_blobs{{{JOB}}})"},
              "How many there are.", stacked=True),
        Panel("Object store", "bytes", {"in use": f"sum(distill_object_store_bytes{{{JOB}}})"},
              "All blobs, and what unfinished uploads have announced; bounded by --max-disk-bytes."),
        Panel("Uploads", "short", {"in progress": f"sum(distill_uploads_in_progress{{{JOB}}})",
                                   "discarded in the last hour":
                                   f"sum(increase(distill_uploads_discarded_total{{{JOB}}}[1h]))"},
              "Uploads through the server; those that nobody went on with are discarded."),
        Panel("Removed by retention", "Bps", {"bytes": rate("distill_gc_deleted_bytes_total")},
              "Blobs that nothing refers to any more."),
        Panel("Since the last collection", "s",
              {"age": f"time() - max(distill_gc_last_success_timestamp_seconds{{{JOB}}} > 0) or vector(0)"},
              "0 before the first one."),
        Panel("Scrubbing", "Bps", {"read again": rate("distill_scrubbed_bytes_total")},
              "Blobs are read again and compared with their digests, at most at --scrub-bytes-per-second."),
        Panel("Since the last full round of scrubbing", "s",
              {"age": f"time() - max(distill_scrub_last_round_timestamp_seconds{{{JOB}}} > 0) or vector(0)"},
              "0 before the first one."),
        Panel("Repeated requests to S3", "ops", {"retries": rate("distill_s3_retries_total") + " or vector(0)"},
              "0 without an object store."),
    ]),
    ("Database", [
        Panel("Commit", "s", {"p50": quantile(0.5, "distill_db_commit_seconds"),
                              "p99": quantile(0.99, "distill_db_commit_seconds")},
              "Every answer that promises something has waited for one."),
        Panel("Commits", "ops", {"commits": rate("distill_db_commit_seconds_count")}, "How many a second."),
        Panel("Write-ahead log", "bytes", {"{{instance}}": f"distill_db_wal_bytes{{{JOB}}}"},
              "Of SQLite; folded into the database now and then. 0 with PostgreSQL."),
    ]),
    ("Disk", [
        Panel("Free", "bytes", {"{{instance}}": f"distill_disk_free_bytes{{{JOB}}}"},
              "On the file system of the data directory; uploads end at --min-free-disk-bytes."),
        Panel("Free share", "percentunit",
              {"{{instance}}": f"distill_disk_free_bytes{{{JOB}}} / distill_disk_size_bytes{{{JOB}}}"},
              "On the file system of the data directory.", most=1),
        Panel("Waiting for an I/O thread", "short", {"{{pool}}": f"sum by (pool) (distill_io_queue_length{{{JOB}}})"},
              "Queries of the database, and transfers of blobs."),
    ]),
])

_HANDLED = "distill_grpc_server_handled_total"
_HANDLING = "distill_grpc_server_handling_seconds"
# Calls that last as long as their caller likes.
_LONG = 'grpc_method!~"AcquireTasks|WatchJob|ReadLog|Upload|Download"'
API = dashboard("api", "API", "Calls: how many, how fast, how they end.", [], [
    ("Rate", [
        Panel("Calls by method", "ops", {"{{grpc_method}}": rate(_HANDLED, by="grpc_method")},
              "Calls that were answered, also those that were refused."),
        Panel("Calls in progress", "short", {"open": f"sum(distill_grpc_server_in_flight{{{JOB}}})"},
              "Mostly long polls of workers, and watches."),
        Panel("Calls by code", "ops", {"{{grpc_code}}": rate(_HANDLED, by="grpc_code")}, "How calls end."),
    ]),
    ("Errors", [
        Panel("Refused or failed", "ops",
              {"{{grpc_method}} {{grpc_code}}":
               rate(_HANDLED, JOB + ', grpc_code!="OK"', "grpc_method, grpc_code") + " or vector(0)"},
              "NOT_FOUND, INVALID_ARGUMENT and the like are the caller's."),
        Panel("Failed requests of pages", "ops", {"requests": rate("distill_web_errors_total")},
              "Requests of the status page, over HTTP, that were answered with an error."),
        Panel("Refused callers", "ops", {"{{code}}": rate("distill_auth_refusals_total", by="code")},
              "Calls of nobody that is known, or without the right to what they ask for."),
        Panel("The server's own faults", "percentunit",
              {"ratio": ratio("(" + rate(_HANDLED, JOB + ', grpc_code=~"INTERNAL|UNKNOWN|DATA_LOSS"') + " or vector(0))",
                              rate(_HANDLED))},
              "Share of calls that ended with INTERNAL, UNKNOWN or DATA_LOSS.", most=1),
    ]),
    ("Latency", [
        Panel("Median by method", "s", {"{{grpc_method}}": quantile(0.5, _HANDLING, f"{JOB}, {_LONG}", "grpc_method")},
              "Without long polls and streams."),
        Panel("p99 by method", "s", {"{{grpc_method}}": quantile(0.99, _HANDLING, f"{JOB}, {_LONG}", "grpc_method")},
              "Without long polls and streams."),
        Panel("All short calls", "s", {"p50": quantile(0.5, _HANDLING, f"{JOB}, {_LONG}"),
                                       "p99": quantile(0.99, _HANDLING, f"{JOB}, {_LONG}")},
              "Without long polls and streams."),
    ]),
    ("Saturation", [
        Panel("Calls that wait for the scheduler", "short", {"length": f"max(distill_event_queue_length{{{JOB}}})"},
              "One thread decides; at 100,000 waiting calls it refuses more."),
        Panel("Waiting for an I/O thread", "short", {"{{pool}}": f"sum by (pool) (distill_io_queue_length{{{JOB}}})"},
              "Queries of the database, and transfers of blobs."),
        Panel("Open files", "percentunit",
              {"{{job}} {{instance}}": f"process_open_fds{{{JOB}}} / process_max_fds{{{JOB}}}"},
              "Share of the file descriptors that the process may open.", most=1),
    ]),
])

DASHBOARDS = {"fleet": FLEET, "queue": QUEUE, "training": TRAINING, "reuse": REUSE, "faults": FAULTS,
              "storage": STORAGE, "api": API}


def text_of(board):
    return json.dumps(board, indent=1, ensure_ascii=False) + "\n"


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    for name, board in DASHBOARDS.items():
        with open(os.path.join(folder, f"{name}.json"), "w", encoding="utf-8") as file:
            file.write(text_of(board))


if __name__ == "__main__":
    main()
