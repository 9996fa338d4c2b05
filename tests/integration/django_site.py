"""What test_django.py runs: a site on Django, in one file. Keyp is its cache; sessions are where SESSIONS says.

KEYP_PORT=… SESSIONS=django.contrib.sessions.backends.cache python django_site.py runserver --noreload PORT
"""

from __future__ import annotations

import os
import sys
from itertools import count
from typing import Any

from django.conf import settings
from django.core.cache import cache, caches
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.cache import cache_page

LOCATION = f"redis://127.0.0.1:{os.environ['KEYP_PORT']}"
BACKEND = "django.core.cache.backends.redis.RedisCache"

settings.configure(
    SECRET_KEY="a test's",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}},
    CACHES={
        "default": {"BACKEND": BACKEND, "LOCATION": LOCATION, "OPTIONS": {"db": 1}, "KEY_PREFIX": "site"},
        "other": {"BACKEND": BACKEND, "LOCATION": LOCATION + "/2", "TIMEOUT": 1000},
    },
    SESSION_ENGINE=os.environ["SESSIONS"],
)

made = count(1)


def visit(request: HttpRequest) -> HttpResponse:
    """How often this visitor has come, and who has logged in."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(f"{request.session['visits']} {request.user.get_username()}")


def enter(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth import get_user_model, login

    user, _ = get_user_model().objects.get_or_create(username="ada")
    login(request, user)
    return HttpResponse("entered")


def leave(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth import logout

    logout(request)
    return HttpResponse("left")


@cache_page(1000, cache="other")
def slow(request: HttpRequest) -> HttpResponse:
    """A page that is made once and then comes from the cache."""
    return HttpResponse(f"made {next(made)}")


def fill(request: HttpRequest) -> HttpResponse:
    """Everything that the cache can do. What is left is looked at after the restart."""
    seen: dict[str, Any] = {"cleared": cache.clear()}
    cache.set("text", "ü" * 1000, timeout=1000)
    cache.set("object", {"list": [1, 2.5, None]}, timeout=None)
    cache.set("never", "x", timeout=0)
    seen["get"] = [cache.get("object"), cache.get("never"), cache.get("none", "default")]
    seen["add"] = [cache.add("once", 1), cache.add("once", 2), cache.get("once")]
    seen["incr"] = [cache.incr("once", 41), cache.decr("once", 2)]
    seen["many"] = [cache.set_many({"a": 1, "b": "two"}, timeout=500), cache.get_many(["a", "b", "c"])]
    seen["touch"] = [cache.touch("a", 1000), cache.touch("none")]
    seen["delete"] = [cache.delete("a"), cache.delete("a"), cache.delete_many(["b", "c"]), "b" in cache]
    seen["get_or_set"] = [cache.get_or_set("made", lambda: "once"), cache.get_or_set("made", lambda: "twice")]
    seen["version"] = [cache.set("v", "new", version=2), cache.get("v"), cache.get("v", version=2)]
    seen["other"] = [caches["other"].get("text"), caches["other"].set("mine", 1), caches["other"].get("mine")]
    try:
        cache.incr("none")
    except ValueError as error:
        seen["refused"] = str(error).endswith("not found.")
    return JsonResponse(seen)


def look(request: HttpRequest) -> HttpResponse:
    names = ["text", "object", "once", "made", "never"]
    return JsonResponse({**cache.get_many(names), "mine": caches["other"].get("mine")})


urlpatterns = [path(view.__name__, view) for view in (visit, enter, leave, fill, look)] + [path("slow", slow)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
