"""A real rotating OAuth2 server (django-oauth-toolkit) with an API behind it, for the end-to-end tests.

/o/token/, /moved/token/   the toolkit's token endpoint, under two URLs
/o/authorize/, /o/login/   its authorization endpoint and Django's login page, for authorize.py
/api/...                   takes the access tokens that the toolkit takes, answers 401 otherwise
/control/...               GET log; POST fail, hold, release, lifetime, login, revoke, end_families

Prints one line of JSON when it listens. Tokens and the client's secret begin with "made-up", so that tests find them
where they must not be; in the log stands the start of their SHA-256 only.
"""

import argparse
import collections
import hashlib
import io
import json
import os
import secrets
import threading
import time
import uuid
from datetime import timedelta

import django
from django.conf import settings
from waitress import create_server
from waitress.channel import ClientDisconnected

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--directory", required=True, help="where the database is kept; tests give a fresh one")
options.add_argument("--client", choices=["public", "confidential"], default="confidential")
options.add_argument("--lifetime", type=int, default=3600, help="of access tokens, in seconds")
options.add_argument("--grace", type=int, default=0, help="how long a rotated refresh token is still taken, in seconds")
options = options.parse_args()

CLIENT_ID, CLIENT_SECRET = "gateway-test", "made-up-client-secret"
PERSON, PASSWORD = "person", "made-up-password"
LOGIN_PAGE = """<form method="post">{% csrf_token %}{{ form.as_p }}<input type="hidden" name="next" value="{{ next }}">
<input type="submit" value="Log in"></form>"""


def token(kind):
    return f"made-up-{kind}-{secrets.token_hex()}"


settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": ["django.template.context_processors.request"],
                "loaders": [
                    ("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN_PAGE}),
                    "django.template.loaders.app_directories.Loader",
                ],
            },
        }
    ],
    LOGIN_URL="/o/login/",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(options.directory, "token-server.db"),
            "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"},
        }
    },
    OAUTH2_PROVIDER={
        "ROTATE_REFRESH_TOKEN": True,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": options.grace,
        "ACCESS_TOKEN_GENERATOR": lambda request: token("access"),
        "REFRESH_TOKEN_GENERATOR": lambda request: token("refresh"),
        "EXTRA_SERVER_KWARGS": {"token_expires_in": lambda request: State.lifetime},
        "SCOPES": {"read": "Read", "write": "Write"},
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path, re_path  # noqa: E402
from django.utils import timezone  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from oauth2_provider.models import AccessToken, Application, RefreshToken  # noqa: E402
from oauth2_provider.oauth2_backends import get_oauthlib_core  # noqa: E402
from oauth2_provider.views import AuthorizationView, TokenView  # noqa: E402


class State:
    """What the tests set and read. Lists only grow."""

    lifetime = options.lifetime
    calls, requests = [], []
    faults = collections.deque()
    holds = {"before": threading.Event(), "after": threading.Event()}
    waiting = {"before": 0, "after": 0}


for gate in State.holds.values():
    gate.set()


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else None


def wait(when):
    State.waiting[when] += 1
    State.holds[when].wait(60)
    State.waiting[when] -= 1


def token_endpoint(environ, start_response):
    """The toolkit's endpoint with the faults that were asked for. What it raises closes the connection unanswered."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    form = WSGIRequest({**environ, "wsgi.input": io.BytesIO(body)}).POST
    sent = form.get("refresh_token", "")
    known = RefreshToken.objects.filter(token_checksum=hashlib.sha256(sent.encode()).hexdigest())
    call = {
        "at": time.monotonic(),
        "path": environ["PATH_INFO"],
        "token": digest(sent),
        "grant": form.get("grant_type"),
        "scope": form.get("scope"),
        "was_spent": known.exists() and not known.filter(revoked__isnull=True).exists(),
        "outcome": None,
        "access_token": None,
        "successor": None,
    }
    State.calls.append(call)
    fault = State.faults.popleft() if State.faults else None
    wait("before")
    if fault == "read_and_close":
        call["outcome"] = fault
        raise ClientDisconnected
    head = []
    content = b"".join(django_application({**environ, "wsgi.input": io.BytesIO(body)}, lambda *args: head.extend(args)))
    reply = json.loads(content)
    call["access_token"], call["successor"] = digest(reply.get("access_token")), digest(reply.get("refresh_token"))
    call["outcome"] = fault or reply.get("error") or "granted"
    wait("after")
    if fault == "lose_answer":
        raise ClientDisconnected
    start_response(*head)
    return [content]


@csrf_exempt
def api(request):
    valid, checked = get_oauthlib_core().verify_request(request, scopes=[])
    field = request.headers.get("Authorization", "")
    State.requests.append({"token": digest(field.removeprefix("Bearer ")), "status": 200 if valid else 401})
    if valid:
        return JsonResponse({"path": request.path, "scopes": sorted(checked.access_token.scope.split())})
    answer = JsonResponse({"error": "invalid_token"}, status=401)
    answer["WWW-Authenticate"] = 'Bearer realm="api", error="invalid_token"'
    return answer


def log_in():
    """What a person's login leaves behind: a family of tokens with its first refresh token."""
    owner = {"user": User.objects.get(), "application": Application.objects.get()}
    end = timezone.now() + timedelta(seconds=State.lifetime)
    access = AccessToken.objects.create(**owner, token=token("access"), expires=end, scope="read write")
    family = {"access_token": access, "token_family": uuid.uuid4()}
    return RefreshToken.objects.create(**owner, **family, token=token("refresh")).token


@csrf_exempt
def control(request, what):
    body = json.loads(request.body or "{}")
    if what == "log":
        return JsonResponse({"calls": list(State.calls), "requests": list(State.requests), "waiting": State.waiting})
    if what == "fail":
        State.faults.extend([body["kind"]] * body.get("count", 1))
    elif what == "hold":
        State.holds[body["when"]].clear()
    elif what == "lifetime":
        State.lifetime = body["seconds"]
    elif what == "release":
        for gate in State.holds.values():
            gate.set()
    elif what == "end_families":
        for refresh_token in RefreshToken.objects.filter(revoked__isnull=True):
            refresh_token.revoke()
    elif what == "login":
        return JsonResponse({"refresh_token": log_in()})
    elif what == "revoke":
        AccessToken.objects.update(expires=timezone.now() - timedelta(hours=1))
    else:
        return JsonResponse({"error": "no such control"}, status=404)
    return JsonResponse({"done": True})


urlpatterns = [
    path("o/authorize/", AuthorizationView.as_view()),
    path("o/login/", LoginView.as_view()),
    re_path("^(?:o|moved)/token/$", TokenView.as_view()),
    re_path("^api/", api),
    path("control/<what>", control),
]
django_application = WSGIHandler()


def application(environ, start_response):
    is_token_call = environ["PATH_INFO"] in ("/o/token/", "/moved/token/")
    return (token_endpoint if is_token_call else django_application)(environ, start_response)


def end_with(parent):
    """Tests that are killed leave nothing running."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


threading.Thread(target=end_with, args=[os.getppid()], daemon=True).start()
call_command("migrate", verbosity=0)
Application.objects.create(
    client_id=CLIENT_ID,
    client_secret=CLIENT_SECRET if options.client == "confidential" else "",
    client_type=options.client,
    authorization_grant_type="authorization-code",
    redirect_uris="http://127.0.0.1/callback https://app.example/callback",
    user=User.objects.create_user(PERSON, password=PASSWORD),
)
seed = log_in()
server = create_server(application, host="127.0.0.1", port=0, threads=16)
print(json.dumps({"port": int(server.effective_port), "refresh_token": seed}), flush=True)
server.run()
