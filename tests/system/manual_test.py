"""The manual and the completion of `distill`, as other programs see them: man, mandoc and the shells themselves."""

import os
import shutil
import subprocess
import tempfile
import unittest

from product import SOURCE_DIR, program


def distill(*arguments):
    return subprocess.run([program("distill"), *arguments], capture_output=True, text=True, check=True).stdout


class ManPagesTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        distill("help", "--man", self.folder)
        self.pages = sorted(os.path.join(self.folder, name) for name in os.listdir(self.folder))

    def test_every_command_has_a_page_that_groff_takes_without_a_word(self):
        self.assertIn("distill.1", map(os.path.basename, self.pages))
        self.assertIn("distill-job-submit.1", map(os.path.basename, self.pages))
        self.assertGreater(len(self.pages), 60)
        run = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", *self.pages], capture_output=True, text=True, check=False)
        self.assertEqual((run.returncode, run.stderr), (0, ""))

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_mandoc_has_nothing_to_warn_of(self):
        run = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *self.pages], capture_output=True, text=True, check=False)
        # Pages have a version and no date, so that a build can be repeated.
        self.assertEqual([line for line in run.stdout.splitlines() if "missing date" not in line], [])


class ReferenceTest(unittest.TestCase):
    def test_docs_commands_is_what_the_program_says(self):
        with open(os.path.join(SOURCE_DIR, "docs", "commands.md"), encoding="utf-8") as page:
            self.assertEqual(distill("help", "--markdown"), page.read())


class CompletionTest(unittest.TestCase):
    """Types half a line and asks the shell what it would offer."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = dict(os.environ, PATH=f"{os.path.dirname(program('distill'))}:{os.environ['PATH']}",
                                HOME=self.folder, DISTILL_SERVER="127.0.0.1:1", DISTILL_CONTEXT="")

    def shell(self, *command):
        return subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment, cwd=self.folder)

    def bash(self, line):
        # As readline has it: words end at blanks, and also at = and :, which are words of their own.
        script = r"""
          source <(distill completion bash)
          COMP_LINE=$1 COMP_POINT=${#1}
          read -ra COMP_WORDS < <(sed -E 's/([=:]+)/ \1 /g' <<<"$1")
          [[ $1 == *' ' ]] && COMP_WORDS+=('')
          COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
          compopt() { :; }
          _distill
          printf '%s\n' "${COMPREPLY[@]}"
        """
        run = self.shell("bash", "-c", script, "bash", line)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        return run.stdout.split()

    def test_bash(self):
        self.assertIn("submit", self.bash("distill job "))
        self.assertEqual(self.bash("distill job sub"), ["submit"])
        self.assertEqual(self.bash("distill job list -o j"), ["json"])
        self.assertEqual(self.bash("distill job list --output=j"), ["json"])
        self.assertEqual(self.bash("distill job submit x --override distillation.ta"), ["distillation.tau="])
        self.assertEqual(self.bash("distill job get "), [])

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_reads_its_script(self):
        run = self.shell("zsh", "-fc", "autoload -Uz compinit && compinit -u -D && source <(distill completion zsh) && "
                         "print $_comps[distill]")
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "_distill\n", ""))

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish(self):
        run = self.shell("fish", "-c", "distill completion fish | source; complete -C 'distill job sub'")
        self.assertEqual((run.returncode, run.stdout.split("\t")[0], run.stderr), (0, "submit", ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
