"""Kubernetes manifests, compose file and container files: what one part names another has, and our programs take their settings."""

import glob
import os
import re
import sys
import unittest

import yaml

SOURCE_DIR = os.environ.get("DISTILL_SOURCE_DIR",
                            os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(SOURCE_DIR, "tests", "system"))
from product import OK, ProductTest, eventually, program  # noqa: E402
from units_test import certificates, run  # noqa: E402

_KUBERNETES = os.path.join(SOURCE_DIR, "deploy", "kubernetes")
_CONTAINERS = os.path.join(SOURCE_DIR, "deploy", "containers")
# Made by the operator, as docs/deployment.md says.
_SECRETS = {"distillery-postgres", "distillery-server-tls", "distillery-worker-tls"}


def objects():
    """All objects, by (kind, name)."""
    with open(os.path.join(_KUBERNETES, "kustomization.yaml"), encoding="utf-8") as file:
        resources = yaml.safe_load(file)["resources"]
    found = {}
    for name in resources:
        with open(os.path.join(_KUBERNETES, name), encoding="utf-8") as file:
            for item in yaml.safe_load_all(file):
                found[item["kind"], item["metadata"]["name"]] = item
    return found


def workloads(items):
    return [item for (kind, _), item in items.items() if kind in ("Deployment", "DaemonSet", "StatefulSet")]


def pods(items):
    return [item["spec"]["template"] for item in workloads(items)]


def matches(selector, labels):
    wanted = selector.get("matchLabels", selector if "matchExpressions" not in selector else {})
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", []))


class KubernetesTest(ProductTest):
    def setUp(self):
        super().setUp()
        self.items = objects()

    def test_every_file_is_listed(self):
        with open(os.path.join(_KUBERNETES, "kustomization.yaml"), encoding="utf-8") as file:
            resources = set(yaml.safe_load(file)["resources"])
        files = {os.path.basename(path) for path in glob.glob(os.path.join(_KUBERNETES, "*.yaml"))}
        self.assertEqual(files - {"kustomization.yaml"}, resources)

    def test_selectors_find_what_they_mean(self):
        templates = pods(self.items)
        for workload in workloads(self.items):
            self.assertTrue(matches(workload["spec"]["selector"], workload["spec"]["template"]["metadata"]["labels"]))
        for (kind, name), item in self.items.items():
            selector = {"Service": lambda: item["spec"]["selector"],
                        "PodDisruptionBudget": lambda: item["spec"]["selector"],
                        "NetworkPolicy": lambda: item["spec"]["podSelector"]}.get(kind, lambda: None)()
            if selector is not None:
                self.assertTrue(any(matches(selector, pod["metadata"]["labels"]) for pod in templates), (kind, name))
        monitor = self.items["ServiceMonitor", "distillery"]["spec"]
        scraped = {item["metadata"]["labels"][monitor["jobLabel"]] for (kind, _), item in self.items.items()
                   if kind == "Service" and matches(monitor["selector"], item["metadata"]["labels"])}
        self.assertEqual(scraped, {"distill-server", "distill-worker"})

    def test_what_pods_name_is_there(self):
        for pod in pods(self.items):
            spec = pod["spec"]
            volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
            if pod["metadata"]["labels"]["app.kubernetes.io/name"] == "distillery-postgres":
                volumes["data"] = {}
            for volume in volumes.values():
                if "secret" in volume:
                    self.assertIn(volume["secret"]["secretName"], _SECRETS)
                for key, kind in (("configMap", "ConfigMap"), ("persistentVolumeClaim", "PersistentVolumeClaim")):
                    if key in volume:
                        name = volume[key].get("name") or volume[key]["claimName"]
                        self.assertIn((kind, name), self.items)
            for container in spec["containers"] + spec.get("initContainers", []):
                ports = {port["name"] for port in container.get("ports", [])}
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    if "httpGet" in container.get(probe, {}):
                        self.assertIn(container[probe]["httpGet"]["port"], ports)
                for mount in container.get("volumeMounts", []):
                    self.assertIn(mount["name"], volumes)
                for variable in container.get("env", []):
                    if "secretKeyRef" in variable.get("valueFrom", {}):
                        self.assertIn(variable["valueFrom"]["secretKeyRef"]["name"], _SECRETS)

    def test_containers_may_do_little(self):
        for pod in pods(self.items):
            self.assertTrue(pod["spec"]["securityContext"]["runAsNonRoot"])
            self.assertIs(pod["spec"]["automountServiceAccountToken"], False)
            for container in pod["spec"]["containers"]:
                context = container["securityContext"]
                self.assertFalse(context["allowPrivilegeEscalation"])
                self.assertTrue(context["readOnlyRootFilesystem"])
                self.assertEqual(context["capabilities"]["drop"], ["ALL"])
                self.assertIn("memory", container["resources"]["limits"])

    def test_the_two_servers_differ_in_their_letter_only(self):
        for kind in ("Deployment", "Service"):
            text = yaml.safe_dump(self.items[kind, "distillery-server-a"])
            for old, new in (("distillery-server-a", "distillery-server-b"), ("instance: a", "instance: b")):
                text = text.replace(old, new)
            self.assertEqual(yaml.safe_load(text), self.items[kind, "distillery-server-b"])

    def settings(self, name, key, folder):
        text = self.items["ConfigMap", name]["data"][key]
        return self.product.write(key, text.replace("/etc/distillery/tls", folder))

    def test_the_server_takes_its_settings(self):
        config = self.settings("distillery-server", "server.conf", certificates(self.product.path("tls")))
        for letter in "ab":
            container = self.items["Deployment", f"distillery-server-{letter}"]["spec"]["template"]["spec"]["containers"][0]
            arguments = [config if a == "/etc/distillery/server.conf" else a for a in container["args"]]
            check = run(program("distill-server"), *arguments, "--check-config")
            self.assertEqual(check.returncode, OK, check.stderr)

    def test_workers_take_their_settings(self):
        folder = certificates(self.product.path("tls"))
        self.product.start_server("--tls-cert", f"{folder}/server.pem", "--tls-key", f"{folder}/server.key",
                                  "--tls-client-ca", f"{folder}/ca.pem")
        config = self.settings("distillery-worker", "worker.conf", folder)
        for kind, name in (("DaemonSet", "distillery-worker-gpu"), ("Deployment", "distillery-worker-cpu")):
            pod = self.items[kind, name]["spec"]["template"]["spec"]
            arguments = [config if a == "/etc/distillery/worker.conf" else a for a in pod["containers"][0]["args"]]
            slots = arguments.index("--slots")
            del arguments[slots:slots + 2]
            worker = self.product.start_worker(*[argument.replace("$(NODE)", "one").replace("$(POD)", "two")
                                                 for argument in arguments])
            eventually(lambda worker=worker: "distill_worker_registered 1" in worker.get("/metrics"), "the server knows it")
            self.assertEqual(worker.stop(), 0)
            drain = float(re.search(r"drain-seconds = (\S+)", self.items["ConfigMap", "distillery-worker"]["data"]["worker.conf"])
                          .group(1))
            self.assertGreater(pod["terminationGracePeriodSeconds"], drain)

    def test_workers_ask_servers_by_the_names_that_they_have(self):
        text = self.items["ConfigMap", "distillery-worker"]["data"]["worker.conf"]
        for address in re.search(r'^server = "(\S+)"$', text, re.MULTILINE).group(1).split(","):
            name, port = address.split(":")
            self.assertEqual(self.items["Service", name]["spec"]["ports"][0]["port"], int(port))


class ComposeTest(unittest.TestCase):
    def test_services_are_whole(self):
        with open(os.path.join(_CONTAINERS, "compose.yaml"), encoding="utf-8") as file:
            compose = yaml.safe_load(file)
        with open(os.path.join(_CONTAINERS, "Containerfile"), encoding="utf-8") as file:
            stages = set(re.findall(r"^FROM \S+ AS (\w+)$", file.read(), re.MULTILINE))
        for name, service in compose["services"].items():
            build = service.get("build", {})
            if build:
                self.assertIn(build["target"], stages, name)
                path = os.path.normpath(os.path.join(_CONTAINERS, build["context"], build["dockerfile"]))
                self.assertTrue(os.path.exists(path), path)
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue(os.path.exists(os.path.join(_CONTAINERS, source)), volume)
                elif not source.startswith(("/", "$")):
                    self.assertIn(source, compose["volumes"])

    def test_the_server_takes_its_flags(self):
        with open(os.path.join(_CONTAINERS, "compose.yaml"), encoding="utf-8") as file:
            command = yaml.safe_load(file)["services"]["server"]["command"]
        check = run(program("distill-server"), *command, "--check-config")
        self.assertEqual(check.returncode, OK, check.stderr)

    def test_packages_of_the_last_stage_have_their_user(self):
        with open(os.path.join(_CONTAINERS, "Containerfile"), encoding="utf-8") as file:
            text = file.read()
        for user, number in (("distill-server", 2000), ("distill-worker", 2001)):
            self.assertIn(f"usermod -u {number} {user}", text)
            self.assertTrue(os.path.exists(os.path.join(SOURCE_DIR, "deploy", "systemd", f"{user}.sysusers")))


if __name__ == "__main__":
    unittest.main()
