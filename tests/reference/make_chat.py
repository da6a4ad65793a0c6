"""Writes chat.json: what transformers makes of conversations with chat templates in the forms that
models have (ChatML, Llama 3's, with default system messages, dates, thinking and tools), as text and
as ids of a small byte-level vocabulary (README.md).

    python make_chat.py
"""

import json
import os
import re
import tempfile
import warnings
from datetime import datetime
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import transformers.utils.chat_template_utils as chat_template_utils
from make_added_tokens import FAST, MERGES, listed, token, vocabulary
from transformers import AutoTokenizer

warnings.filterwarnings("ignore")

NOW = datetime(2026, 3, 7, 9, 5, 4)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>",
           "<|end_header_id|>", "<|eot_id|>", "<s>", "</s>"]  # fmt: skip
PLAIN = ["<think>", "</think>"]  # added, and not special
FIRST = len(vocabulary([]))
ADDED = [(FIRST + i, token(text, special=text in SPECIAL)) for i, text in enumerate(SPECIAL + PLAIN)]

CHATML = """\
{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
WITH_DEFAULT = """\
{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system\nAnswer in one line.<|im_end|>\n' }}{% endif %}\
{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""
WITH_TOOLS = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'Help.' }}
    {%- endif %}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "<|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nHelp with "everything".<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- message.content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
THINKING = """\
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(waits=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.waits and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.waits = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set thoughts = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thoughts = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set thoughts = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last %}
            {%- if loop.last or (not loop.last and thoughts) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + thoughts.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
LLAMA3 = """\
{% set loop_messages = messages %}{% for message in loop_messages %}\
{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}\
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""
DATED = """\
{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "01 Jan 2020" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- The system message, or nothing. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Knowledge: December\\n" }}
{{- "Today: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif message.role == "tool" %}
        {{- raise_exception("tools") }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
STRICT = """\
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.first and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " ~ message["content"] ~ "[/INST]" }}
        {%- endif %}
    {%- else %}
        {% generation %}{{- " " + message["content"] | trim + eos_token }}{% endgeneration %}
    {%- endif %}
{%- endfor %}
"""
# White space, comments, signs and scopes, as Jinja has them.
SPACES = """  {# a
comment #}

  {% if messages %}
text {{ messages | length }} 	
  {%- for m in messages -%}
    {% set x = loop.index ~ '/' ~ loop.length %}
    {%+ if m.role == 'user' +%}
 {{- x }}: {{ m.content | upper if m.content == 'hi' else m.content[:3] }} {{- m['content'][-2:] -}}
    {% elif loop.last %}{% break %}
    {% else -%}

      {{ [m.role, x] | join('+') }}{{ missing }}{{ none }}{{ true and 3 }}
    {%- endif %}
{% endfor -%}
  {% endif %}
{{ x is defined }}{{ bos_token }}{{ unk_token }}

"""
TEMPLATES = {
    "ChatML": (CHATML, {}),
    "ChatML with a default": (WITH_DEFAULT, {}),
    "ChatML with tools": (WITH_TOOLS, {}),
    "thinking": (THINKING, {}),
    "not thinking": (THINKING, {"enable_thinking": False}),
    "thinking, said": (THINKING, {"enable_thinking": True}),
    "Llama 3": (LLAMA3, {}),
    "Llama 3, dated": (DATED, {}),
    "alternating": (STRICT, {}),
    "spaces": (SPACES, {}),
}


def said(*contents, system=None):
    messages = [] if system is None else [{"role": "system", "content": system}]
    roles = ["user", "assistant"]
    return messages + [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]


CONVERSATIONS = [
    said("hi"),
    said("hi", system="Be brief."),
    said("the abc", "hello\n", "  the\n\n", system=" \n the \u00a0"),
    said("\n\nhe he", "abc<think>\nthe abc\n</think>\n\nhello", "<think>\n</think>", "", "\u0915 \U0001f600 the"),
    said("a<|im_end|>\n<|im_start|>system\nthe<|eot_id|>", "<|endoftext|>he", "</s> <|im_start|>", system="<s>the<|im_end|>"),
    said("the<think>abc</think>the", "<think>\n\n</think>\n\nabc", "abc"),
    said("{{ messages }}{% if %}", "he\r\nthe\x1c", "\u2003the\u3000"),
    [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    [{"role": "user", "content": "the"}, {"role": "system", "content": "abc"}, {"role": "user", "content": " he"}],
]  # fmt: skip


def load(folder):
    model = {"type": "BPE", "vocab": vocabulary([]), "merges": [f"{a} {b}" for a, b in MERGES]}
    config = {**FAST, "bos_token": "<|begin_of_text|>", "eos_token": {"__type": "AddedToken", "content": "</s>"}}
    files = {"tokenizer.json": {**listed(*ADDED), "model": model}, "tokenizer_config.json": config}
    for name, content in files.items():
        Path(folder, name).write_text(json.dumps(content), encoding="utf-8")
    return files, AutoTokenizer.from_pretrained(folder)


def ids_of(tokenizer, template, messages, settings):
    """As the template's own special tokens, with those in messages as text."""
    places = {text: chr(0xE000 + i) for i, text in enumerate(SPECIAL)}
    contents = []
    for message in messages:
        content = message["content"]
        for text, place in places.items():
            content = content.replace(text, place)
        contents.append({**message, "content": content})
    rendered = tokenizer.apply_chat_template(
        contents, chat_template=template, add_generation_prompt=True, tokenize=False, **settings
    )
    ids = []
    for piece in re.split("(" + "|".join(map(re.escape, SPECIAL)) + ")", rendered):
        if piece in SPECIAL:
            ids.append(tokenizer.convert_tokens_to_ids(piece))
            continue
        for text, place in places.items():
            piece = piece.replace(place, text)
        ids += tokenizer.encode(piece, add_special_tokens=False, split_special_tokens=True)
    return ids


class At(datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def main():
    chat_template_utils.datetime = At
    with tempfile.TemporaryDirectory() as folder:
        files, tokenizer = load(folder)
    cases = []
    for name, (template, settings) in TEMPLATES.items():
        for index, messages in enumerate(CONVERSATIONS):
            case = {"template": name, "conversation": index, "settings": settings}
            try:
                case["text"] = tokenizer.apply_chat_template(
                    messages, chat_template=template, add_generation_prompt=True, tokenize=False, **settings
                )
                ids = ids_of(tokenizer, template, messages, settings)
                # A template that cuts within a special token cuts its stand-in elsewhere.
                if tokenizer.decode(ids) == case["text"]:
                    case["ids"] = ids
                if not any(text in m["content"] for m in messages for text in SPECIAL):
                    plain = tokenizer.apply_chat_template(
                        messages, chat_template=template, add_generation_prompt=True, return_dict=False, **settings
                    )
                    assert plain == case["ids"], (name, index)
            except Exception as error:
                assert "alternate" in str(error), (name, index, error)
                case["error"] = str(error)
            cases.append(case)
    out = {
        "now": NOW.isoformat(),
        "files": files,
        "templates": {name: template for name, (template, _) in TEMPLATES.items()},
        "conversations": CONVERSATIONS,
        "cases": cases,
    }
    path = Path(__file__).parent / "chat.json"
    path.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
