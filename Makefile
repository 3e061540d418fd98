# Every target makes what it needs: .venv with the locked versions, and the system programs.
PYTHON ?= python3
export PYTHON

NETVIZ = .venv/bin/netviz
RUFF = .venv/bin/ruff

.NOTPARALLEL:
.PHONY: help lab test test-all test-browser test-own-kernel test-vm vm vm-run check fix html bench lock programs vm-programs components own-kernel clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

lab: .venv/lab programs ## open lesson 00; another one: make lab ARGS="4 --no-browser"
	$(NETVIZ) lab $(ARGS)

test: .venv/test programs components ## run the tests that need no browser
	@.venv/bin/python scripts/programs.py strace tshark
	scripts/test test

test-all: test test-browser ## run all tests

test-own-kernel: .venv/test programs components ## run tests on a Linux of one's own; ARGS=all: most of them
	scripts/test-own-kernel $(or $(ARGS),some)

test-browser: .venv/browser docs/node_modules programs components
	@.venv/bin/python scripts/programs.py chromium
	scripts/test browser

test-vm: .venv/browser components vm-programs ## build the virtual machine and test it; ARGS=all: boot it by UEFI too
	@.venv/bin/python scripts/programs.py chromium qemu-system-x86:qemu-system-x86_64
	scripts/test-vm $(or $(ARGS),some)

check: .venv/dev ## check style and types
	$(RUFF) check
	$(RUFF) format --check
	.venv/bin/mypy
	.venv/bin/nbstripout --keep-id --verify notebooks/*.ipynb docs/*.ipynb

fix: .venv/dev ## mend the style, as far as a program can
	$(RUFF) check --fix
	$(RUFF) format
	.venv/bin/nbstripout --keep-id notebooks/*.ipynb docs/*.ipynb

html: .venv/docs docs/node_modules programs components ## run the lessons and make pages of them: docs/_build/html/index.html
	.venv/bin/python docs/publish.py
	@echo "Open docs/_build/html/index.html"

bench: .venv/browser docs/node_modules programs ## measure against the floor and the peers, into benchmarks/RESULTS.md
	@.venv/bin/python scripts/programs.py chromium
	.venv/bin/python benchmarks/bench.py

lock: .venv/dev ## choose newer versions, within pyproject.toml
	.venv/bin/python -m pip install --quiet uv
	.venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	    pyproject.toml --output-file constraints.txt

programs: .venv/lab
	@.venv/bin/python scripts/programs.py

# Fetched, and never installed: their packages would start daemons. Where one cannot be had, netviz
# says so, and what needs it fails.
components: .venv/lab
	@for each in docker cni ovs bird dnsmasq iperf3 own-kernel; do $(NETVIZ) components fetch $$each || true; done

# mmdebstrap and what follows make the disk; syslinux and systemd-boot are for it to start with.
vm-programs: .venv/lab
	@.venv/bin/python scripts/programs.py mmdebstrap squashfs-tools:mksquashfs mtools:mcopy \
	    dosfstools:mkfs.fat fdisk:sfdisk qemu-utils:qemu-img syslinux \
	    syslinux-common:/usr/lib/syslinux/mbr/gptmbr.bin \
	    systemd-boot-efi:/usr/lib/systemd/boot/efi/systemd-bootx64.efi \
	    debian-archive-keyring:/usr/share/keyrings/debian-archive-keyring.gpg

vm: vm-programs ## build a virtual machine with everything in it: dist/vm/netviz.qcow2
	scripts/test-vm build
	@echo "Start it: make vm-run"

vm-run: ## start it; ARGS=--save: the next start takes seconds
	@$(PYTHON) binder/vm/run.py dist/vm/netviz.qcow2 $(ARGS)

# Some of them hold others: whoever has those need not call pip for these.
in_test = lab
in_docs = lab
in_dev = test lab
in_browser = docs test lab
.venv/lab .venv/test .venv/browser .venv/docs .venv/dev: pyproject.toml constraints.txt
	@scripts/environment $(@F)
	@touch $@ $(addprefix .venv/,$(in_$(@F)))

# Fonts for the pages, and axe for their tests; npm comes with the virtual environment.
docs/node_modules: docs/package-lock.json | .venv/docs
	.venv/bin/npm --prefix docs ci --ignore-scripts --no-audit --no-fund --no-update-notifier
	@touch $@

own-kernel: .venv/lab ## build the Linux of one's own, once: ten minutes of one processor
	$(NETVIZ) components build own-kernel

clean: ## remove what make made here; fetched programs stay in ~/.cache/netviz, root's in /var/cache/netviz
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache dist docs/_build docs/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
