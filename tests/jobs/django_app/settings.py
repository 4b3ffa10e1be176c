"""The smallest Django project with a management command."""

INSTALLED_APPS = ["tests.jobs.django_app"]
SECRET_KEY = "for tests only"
USE_TZ = True
