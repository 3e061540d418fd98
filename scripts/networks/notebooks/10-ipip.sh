for n in 1 2; do
    ip netns add net$n
    ip -n net$n link set lo up
    ip link add v${n}_r address 02:00:00:00:0$n:01 type veth peer name v$n address 02:00:00:00:0$n:02 netns net$n
    ip address add 10.10.${n}0.1/24 dev v${n}_r
    ip link set v${n}_r up
    ip -n net$n address add 10.10.${n}0.2/24 dev v$n
    ip -n net$n link set v$n up
    far=$((3 - n))
    ip -n net$n route add 10.10.${far}0.0/24 via 10.10.${n}0.1
    ip -n net$n link add tun$n type ipip remote 10.10.${far}0.2 local 10.10.${n}0.2
    ip -n net$n link set tun$n up
    ip -n net$n address add 10.10.${n}00.10 peer 10.10.${far}00.10 dev tun$n
done
sysctl -qw net.ipv4.ip_forward=1
