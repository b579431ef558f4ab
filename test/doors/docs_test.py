"""The documents: links lead somewhere, both languages say the same commands, no line break is a blank in Chinese."""

import collections
import glob
import os
import re

import pytest

from albert.common.files import ROOT

DOCUMENTS = sorted(os.path.relpath(path, ROOT) for pattern in ('*.md', 'docs/*.md')
                   for path in glob.glob(os.path.join(ROOT, pattern)))
CHINESE = [name for name in DOCUMENTS if name.endswith('.zh-CN.md')]
# Han characters and punctuation of their width.
_WIDE = '[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]'
_COMMENT = re.compile(r' +# .*')


def read(name):
  with open(os.path.join(ROOT, name), encoding='utf-8') as source:
    return source.read()


def without_code(text):
  return re.sub(r'(?ms)^```.*?^```$', '', text)


def commands(text):
  """Lines of code blocks that a reader types."""
  lines = '\n'.join(re.findall(r'(?ms)^```\n(.*?)^```$', text)).splitlines()
  return [_COMMENT.sub('', line) for line in lines if re.match(r'(make|docker|conda|  --?\w)', line)]


def anchors(text):
  """What GitHub makes of the headings."""
  return {re.sub(r'[^\w\- ]', '', heading.strip().lower()).replace(' ', '-')
          for heading in re.findall(r'(?m)^#+ (.*)$', without_code(text))}


@pytest.mark.parametrize('name', CHINESE)
def test_no_line_break_becomes_a_blank_between_han_characters(name):
  lines = without_code(read(name)).splitlines()
  for first, second in zip(lines, lines[1:]):
    assert not (re.search(_WIDE + '$', first) and re.match(_WIDE, second.strip())), first


@pytest.mark.parametrize('name', CHINESE)
def test_no_line_break_becomes_a_blank_behind_a_wide_mark(name):
  lines = without_code(read(name)).splitlines()
  for first, second in zip(lines, lines[1:]):
    assert not re.search('[\u3001\u3002\uff0c\uff1b\uff1a\uff09]$', first) or not second or re.match(
        r' *([*#|]|\d+\.)', second), first


@pytest.mark.parametrize('name', CHINESE)
def test_a_blank_stands_between_latin_letters_and_han_characters(name):
  text = re.sub(r'\[[^\]]*\]\([^)]*\)', '', re.sub('`[^`\n]*`', '`', without_code(read(name))))
  assert re.findall('.{0,9}(?:[A-Za-z0-9`%][\u4e00-\u9fff]|[\u4e00-\u9fff][A-Za-z0-9`]).{0,9}', text) == []


@pytest.mark.parametrize('name', DOCUMENTS)
def test_links_lead_somewhere(name):
  for target in re.findall(r'\]\(([^)\s]+)\)', without_code(read(name))):
    path, _, anchor = target.partition('#')
    full = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
    assert os.path.exists(os.path.join(ROOT, full)), target
    assert not anchor or anchor in anchors(read(full)), target


@pytest.mark.parametrize('name', CHINESE)
def test_both_languages_have_the_same_chapters_and_commands(name):
  english = name.replace('.zh-CN', '')
  assert commands(read(name)) == commands(read(english))
  assert len(re.findall('(?m)^##* ', without_code(read(name)))) == len(
      re.findall('(?m)^##* ', without_code(read(english))))


@pytest.mark.parametrize('name', CHINESE)
def test_a_page_leads_to_the_other_language_and_stays_in_its_own(name):
  english = os.path.basename(name).replace('.zh-CN', '')
  assert '[English]({})\n'.format(english) in read(name)
  chinese = re.escape(os.path.basename(name))
  assert re.search(r'\[中文(说明)?\]\({}\)\n'.format(chinese), read(name.replace('.zh-CN', '')))
  for text, target, after in re.findall(r'\[([^\]]*)\]\(([^)#\s]+\.md)[^)]*\)(（英文）)?', without_code(read(name))):
    path = os.path.normpath(os.path.join(os.path.dirname(name), target))
    has_chinese = path.endswith('.zh-CN.md') or path.replace('.md', '.zh-CN.md') in DOCUMENTS
    assert path.endswith('.zh-CN.md') or text in ('English', '英文版') or after and not has_chinese, (target, after)


def test_every_target_that_the_documents_name_exists():
  targets = set(re.findall(r'(?m)^([a-z-]+):', read('Makefile')))
  for name in DOCUMENTS:
    assert set(re.findall(r'`make ([a-z-]+)', read(name))) | {
        line.split()[1] for line in commands(read(name)) if line.startswith('make ')} <= targets, name


def _tree():
  """The tree of docs/architecture.md."""
  return re.search(r'(?ms)^```\n(albert/.*?)^```$', read('docs/architecture.md')).group(1)


def _words_of_rooms():
  """{'albert': words about the files of albert/ itself, 'albert/run': about those of this room and of rooms in it}."""
  words = collections.defaultdict(set)
  for line in _tree().splitlines():
    package, room, program = re.match(r'(?:(\w+)/)?(?:  (\w+)/ )?(?:  (\w+)\.py )?', line).groups()
    if package:
      top = place = package
    elif room or program:
      place = os.path.join(top, room) if room else top
    words[place] |= set(re.findall(r'\w+', line))
  return words


@pytest.mark.parametrize('package', ['albert', 'tools'])
def test_every_module_has_its_place_in_the_tree_of_the_architecture(package):
  words = _words_of_rooms()
  for folder, folders, names in os.walk(os.path.join(ROOT, package)):
    folders[:] = [name for name in folders if name not in ('__pycache__', 'data')]
    place = os.path.relpath(folder, ROOT)
    modules = {name[:-3] for name in names if name.endswith('.py')} - {'__init__'}
    about = words[os.path.join(*place.split(os.sep)[:2])]
    assert modules <= about, '{}: {}'.format(place, sorted(modules - about))
    assert not modules or os.path.basename(folder) in about


def test_every_folder_and_file_that_the_architecture_names_exists():
  for name in re.findall(r'(?m)^ *(\w+(?:\.py|/))', _tree()):
    assert glob.glob(os.path.join(ROOT, '**', name), recursive=True), name
  for name in re.findall(r'`([\w/]+/\w+\.py)`', read('docs/architecture.md')):
    assert any(os.path.exists(os.path.join(ROOT, package, name)) for package in ('', 'albert', 'tools')), name


@pytest.mark.parametrize('name', DOCUMENTS)
def test_no_example_stays_in_its_warm_up(name):
  """Of fewer steps than the warm-up of the flagship."""
  for bindings in re.findall(r'make train-full[^`\n]*SET="([^"]*num_train_steps=[^"]*)"', read(name)):
    values = {key: int(value) for key, value in re.findall(r'(num_train_steps|num_warmup_steps)=(\d+)', bindings)}
    assert values.get('num_warmup_steps', 3125) <= values['num_train_steps'] // 8, bindings
