"""Draw the pictures of README and lessons: ``netviz run -- .venv/bin/python scripts/pictures.py``.

Each network is built for real, and drawn. The cards whose address is shown have a fixed one, and
what else the kernel makes up is left out, so the same bytes come out every time.
"""

import re
import subprocess
import sys
from pathlib import Path

import netviz
from netviz.lab.sandbox import inside

CHECKOUT = Path(__file__).resolve().parent.parent
NETWORKS = {
    "notebooks/pictures/00-start-here": """
        for n in 1 2; do
            ip netns add net$n
            ip -n net$n link set lo up
        done
        ip link add eth0 address 02:00:00:00:00:01 netns net1 type veth \
            peer name eth0 address 02:00:00:00:00:02 netns net2
        for n in 1 2; do
            ip -n net$n address add 10.0.0.$n/24 dev eth0
            ip -n net$n link set eth0 up
        done""",
    "notebooks/pictures/01-namespaces": """
        for n in 1 2; do
            ip netns add web$n
            ip -n web$n link set lo up
        done""",
    "notebooks/pictures/02-veth": """
        for n in 1 2; do
            ip netns add net$n
            ip -n net$n link set lo up
        done
        ip link add veth0 address 02:00:00:00:00:01 netns net1 type veth \
            peer name veth1 address 02:00:00:00:00:02 netns net2
        for n in 1 2; do
            ip -n net$n address add 10.1.1.$n/24 dev veth$((n - 1))
            ip -n net$n link set veth$((n - 1)) up
        done""",
    "notebooks/pictures/03-tun-tap": """
        ip netns add net1
        ip netns add net2
        ip link add eth0 address 02:00:00:00:00:01 netns net1 type veth \
            peer name eth0 address 02:00:00:00:00:02 netns net2
        for pair in 1:11 2:1; do
            n=${pair%:*}
            ip -n net$n address add 10.1.1.${pair#*:}/24 dev eth0
            for dev in lo eth0; do ip -n net$n link set $dev up; done
            ip netns exec net$n python3 -c 'import fcntl, struct, time; \
                tun = open("/dev/net/tun", "r+b", buffering=0); \
                fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001)); \
                time.sleep(60)' &
            timeout 9 sh -c "until ip -n net$n link set tun0 up; do sleep 0.1; done" 2>/dev/null
            ip -n net$n address add 192.168.1.${pair#*:}/24 dev tun0
        done""",
    "notebooks/pictures/04-bridge": """
        ip link add br0 type bridge && ip link set br0 up
        for pair in 1:2 2:3 3:5; do
            n=${pair%:*}
            ip netns add net$n
            ip -n net$n link set lo up
            ip link add p$n type veth peer name eth0 address 02:00:00:00:00:0$n netns net$n
            ip link set p$n master br0 up
            ip -n net$n address add 10.1.1.${pair#*:}/24 dev eth0
            ip -n net$n link set eth0 up
        done""",
    "notebooks/pictures/05-docker": """
        ip link add docker0 address 02:42:00:00:00:01 type bridge
        ip address add 172.17.0.1/16 broadcast + dev docker0
        ip link set docker0 up
        for n in 1 2; do
            ip netns add c$n
            ip -n c$n link set lo up
            ip link add veth$n type veth \
                peer name eth0 address 02:42:ac:11:00:0$((n + 1)) netns c$n
            ip link set veth$n master docker0 up
            ip -n c$n address add 172.17.0.$((n + 1))/16 broadcast + dev eth0
            ip -n c$n link set eth0 up
        done""",
    "notebooks/pictures/06-cni": """
        ip link add cni0 type bridge && ip link set cni0 up
        ip address add 10.244.0.1/24 dev cni0
        for pair in 1:veth9d60519b 2:vethc025ce1c; do
            n=${pair%:*} port=${pair#*:}
            ip netns add pod$n
            ip link add $port type veth peer name eth0 address 02:00:00:00:00:0$n netns pod$n
            ip link set $port master cni0 up
            ip -n pod$n address add 10.244.0.$((n + 1))/24 dev eth0
            ip -n pod$n link set eth0 up
            ip -n pod$n route add default via 10.244.0.1
        done""",
    "notebooks/pictures/07-open-vswitch": """
        python -c 'import netviz; netviz.needs("ovs"); netviz.service("ovs")'
        ovs-vsctl add-br ovs-br
        for pair in 1:2 2:5; do
            n=${pair%:*}
            ip netns add net$n
            ip link add ovs-veth$((n - 1)) type veth \
                peer name veth$((n - 1)) address 02:00:00:00:00:0${pair#*:} netns net$n
            ip link set ovs-veth$((n - 1)) up
            ip -n net$n address add 10.1.1.${pair#*:}/24 dev veth$((n - 1))
            ip -n net$n link set veth$((n - 1)) up
            ovs-vsctl add-port ovs-br ovs-veth$((n - 1))
        done""",
    "docs/pictures/eight-lines": """
        ip netns add net1
        ip netns add net2
        ip link add eth0 address 02:00:00:00:00:01 netns net1 type veth \
            peer name eth0 address 02:00:00:00:00:02 netns net2
        ip -n net1 address add 10.0.0.1/24 dev eth0
        ip -n net1 link set eth0 up
        ip -n net2 link set eth0 up""",
    "docs/pictures/two-hosts": """
        ip link add sw type bridge && ip link set sw up
        for n in 1 2; do
            ip netns add node$n
            ip link add sw-$n type veth peer name eth0 netns node$n
            ip link set sw-$n master sw up
            ip -n node$n address add 192.168.7.$n/24 dev eth0
            ip -n node$n link set eth0 up
            ip -n node$n link add cni0 type bridge
            ip -n node$n address add 10.244.$n.1/24 dev cni0
            ip -n node$n link set cni0 up
            for c in 1 2; do
                pod=pod-$n$c
                ip netns add $pod
                ip -n node$n link add veth$c type veth \
                    peer name eth0 address 02:00:00:00:0$n:0$c netns $pod
                ip -n node$n link set veth$c master cni0 up
                ip -n $pod address add 10.244.$n.1$c/24 dev eth0
                ip -n $pod link set lo up
                ip -n $pod link set eth0 up
            done
            ip -n node$n link add flannel.1 type vxlan id 1 dstport 8472 dev eth0 \
                local 192.168.7.$n remote 192.168.7.$((3 - n))
            ip -n node$n link set flannel.1 up
        done""",
}
JOURNEY = """
    ip link add switch type bridge
    ip link set switch up
    for n in 1 2; do
        ip netns add node$n
        ip netns add pod$n
        ip link add up$n type veth peer name eth0 address 02:00:00:00:07:0$n netns node$n
        ip link set up$n master switch up
        ip -n node$n address add 192.168.7.$n/24 dev eth0
        ip -n node$n link set lo up
        ip -n node$n link set eth0 up
        ip -n node$n link add cni0 type bridge
        ip -n node$n link set cni0 up
        ip -n node$n link add veth0 type veth \
            peer name eth0 address 02:00:00:00:00:0$n netns pod$n
        ip -n node$n link set veth0 master cni0 up
        ip -n pod$n address add 10.244.0.$n/24 dev eth0
        ip -n pod$n link set lo up
        ip -n pod$n link set eth0 mtu 1450 up
        ip -n node$n link add vxlan0 type vxlan id 42 dstport 4789 dev eth0 \
            local 192.168.7.$n remote 192.168.7.$((3 - n))
        ip -n node$n link set vxlan0 master cni0 up
    done
    sleep 2"""


def main() -> None:
    """Build, draw and empty the lab, a network after the other."""
    if not inside():
        sys.exit(f"this builds networks: run it as netviz run -- python {sys.argv[0]}")
    for name, script in NETWORKS.items():
        subprocess.run(["bash", "-ec", script], check=True)
        picture = CHECKOUT / f"{name}.svg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_text(steady(netviz.draw().svg), encoding="utf-8")
        netviz.reset()
    subprocess.run(["bash", "-ec", JOURNEY], check=True)
    journey = netviz.trace("pod1", "ping -c1 10.244.0.2").draw().svg
    (CHECKOUT / "docs/pictures/journey.svg").write_text(steady(journey), encoding="utf-8")
    plan = netviz.draw(netviz.nodes(2, 2)).svg
    (CHECKOUT / "docs/pictures/plan.svg").write_text(steady(plan), encoding="utf-8")


def steady(svg: str) -> str:
    """Return a picture with its namespaces numbered, and no random address in hover titles."""
    ids = dict.fromkeys(re.findall(r" · id (\d+)<", svg))
    for number, own in enumerate(ids, 1):
        svg = svg.replace(own, str(number))
    svg = re.sub(r" source port \d+|, pid \d+", "", svg)
    return re.sub(r" · (fe80::|MAC )[^ ]+", "", svg)


if __name__ == "__main__":
    main()
