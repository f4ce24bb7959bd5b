"""What there is to be broken: each fault is a function that is registered here under its name."""

from stage import Stage

FAULTS = {}


class Missing(Exception):
    """This machine lacks what a fault needs."""


def fault(name, title, runs):
    """Registers a function that gets a seed and how often to strike, and returns (strikes, what is wrong)."""
    def register(function):
        FAULTS[name] = (title, runs, function)
        return function
    return register


def strike_jobs(seed, strikes, strike, longest_pause=0.8, **stage_options):
    """Runs jobs one after the other, each on a stage of its own, until strike(stage) was called often enough."""
    struck, jobs, wrong = 0, 0, []
    while struck < strikes and not wrong:
        if jobs > 10 + 2 * strikes:
            return struck, ["the fault finds nothing to strike"]
        jobs += 1
        with Stage(seed + jobs, **stage_options) as stage:
            job = stage.submit()
            struck += stage.while_running(job, lambda: strike(stage), strikes - struck, longest_pause)
            wrong += stage.finish(job) + stage.end()
    return struck, wrong
