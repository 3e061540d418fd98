sysctl -qw net.ipv4.ip_forward=1
for n in 1 2; do
    ip netns add net$n
    ip -n net$n link set lo up
    ip link add v${n}_r address 02:00:00:00:0$n:01 type veth \
        peer name v$n address 02:00:00:00:0$n:02 netns net$n
    ip address add 10.1.$n.1/24 dev v${n}_r
    ip link set v${n}_r up
    ip -n net$n address add 10.1.$n.2/24 dev v$n
    ip -n net$n link set v$n up
    ip -n net$n route add 10.1.$((3 - n)).0/24 via 10.1.$n.1
done
