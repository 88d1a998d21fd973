"""The official `openai` package, unmodified, against a running server.

Arguments: the server's base URL, then NAME=VALUE pairs of keys. Every check raises; the last line is `ok`.
"""

import json
import sys
import urllib.request

import openai

base_url, *pairs = sys.argv[1:]
given = dict(pair.split("=", 1) for pair in pairs)


def client(key, **more):
    return openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=30, **more)


def expect(kind, status, code, call):
    try:
        call()
    except kind as error:
        assert type(error) is kind, (type(error), kind)
        assert getattr(error, "status_code", None) == status, (error, status)
        assert error.code == code, (error.code, code)
        assert given["key"] not in str(error), "a key in a message"
        if status is not None:
            assert error.request_id, "the SDK reads our x-request-id"
        return error
    raise AssertionError(f"{kind.__name__} {code} expected")


messages = [{"role": "user", "content": "Hello?"}]
good = client(given["key"])

# Chat, plain.
answer = good.chat.completions.create(model="chat-a", messages=messages, temperature=0.1)
assert answer.choices[0].message.content == "Hello there.", answer
assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (7, 5, 12), answer
assert answer._request_id, answer

# Chat, streamed: usage is only there for who asks.
chunks = list(good.chat.completions.create(model="chat-a", messages=messages, stream=True))
assert len(chunks) == 5 and all(chunk.choices and chunk.usage is None for chunk in chunks), chunks
assert chunks[-1].choices[0].finish_reason == "stop", chunks
chunks = list(
    good.chat.completions.create(
        model="chat-a", messages=messages, stream=True, stream_options={"include_usage": True}
    )
)
assert len(chunks) == 6 and chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 12, chunks

# Raw and asynchronous access.
raw = good.chat.completions.with_raw_response.create(model="chat-a", messages=messages)
assert raw.headers["x-request-id"] and raw.parse().usage.total_tokens == 12

# Completions.
answer = good.completions.create(model="chat-a", prompt="Once")
assert answer.choices[0].text == "Hello there." and answer.usage.total_tokens == 12, answer
assert len(list(good.completions.create(model="chat-a", prompt="Once", stream=True))) == 5

# Embeddings: as floats, and as the SDK asks by itself (base64).
answer = good.embeddings.create(model="embed-a", input=["text"], encoding_format="float")
assert answer.data[0].embedding == [0.5, -0.25, 1.0] and answer.usage.prompt_tokens == 7, answer
answer = good.embeddings.create(model="embed-a", input="text")
assert len(answer.data[0].embedding) == 3, answer

# Models.
assert sorted(model.id for model in good.models.list()) == ["chat-a", "embed-a"]
assert good.models.retrieve("chat-a").id == "chat-a"

# Each class of error.
expect(openai.AuthenticationError, 401, "invalid_api_key", lambda: client("tg_wrong").models.list())
expect(openai.AuthenticationError, 401, "api_key_revoked", lambda: client(given["revoked"]).models.list())
expect(openai.AuthenticationError, 401, "api_key_disabled", lambda: client(given["disabled"]).models.list())
chat = lambda key="key", **more: client(given[key]).chat.completions.create(
    **{"model": "chat-a", "messages": messages, **more}
)
expect(openai.PermissionDeniedError, 403, "model_not_permitted", lambda: chat(model="chat-b"))
expect(openai.NotFoundError, 404, "model_not_found", lambda: chat(model="no-such-model"))
expect(openai.NotFoundError, 404, "unknown_url", lambda: good.files.list())
expect(openai.BadRequestError, 400, "wrong_endpoint_for_model", lambda: chat(model="embed-a"))
expect(openai.BadRequestError, 400, "their_code", lambda: chat(extra_body={"fake": {"status": 400, "code": "their_code"}}))
expect(openai.UnprocessableEntityError, 422, "their_code", lambda: chat(extra_body={"fake": {"status": 422, "code": "their_code"}}))
expect(openai.RateLimitError, 429, "their_code", lambda: chat(extra_body={"fake": {"status": 429, "code": "their_code"}}))
expect(openai.InternalServerError, 502, "upstream_error", lambda: chat(extra_body={"fake": {"status": 401}}))
expect(openai.APIStatusError, 402, "plan_required", lambda: chat(key="planless"))

# A stream whose upstream breaks off, and one whose key is revoked in the middle.
error = expect(
    openai.APIError, None, "upstream_error",
    lambda: list(chat(stream=True, extra_body={"fake": {"cut_at": 3}})),
)


def revoked_in_the_middle():
    stream = chat(key="doomed", stream=True, extra_body={"fake": {"stall_at": 2}})
    for at, _ in enumerate(stream):
        if at == 1:
            request = urllib.request.Request(
                given["revoke_url"], data=b"{}", method="POST",
                headers={"authorization": f"Bearer {given['token']}", "content-type": "application/json"},
            )
            with urllib.request.urlopen(request) as response:
                assert json.load(response)["status"] == "revoked"


expect(openai.APIError, None, "api_key_revoked", revoked_in_the_middle)
print("ok")
