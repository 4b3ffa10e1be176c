"""What cron starts."""

from tests.jobs.work import render

if __name__ == "__main__":
    render(7)
