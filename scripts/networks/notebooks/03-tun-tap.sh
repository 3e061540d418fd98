ip netns add net1
ip netns add net2
ip link add eth0 address 02:00:00:00:00:01 netns net1 type veth \
    peer name eth0 address 02:00:00:00:00:02 netns net2
for pair in 1:11 2:1; do
    n=${pair%:*}
    ip -n net$n address add 10.1.1.${pair#*:}/24 dev eth0
    for dev in lo eth0; do ip -n net$n link set $dev up; done
    ip netns exec net$n python3 -c '
import fcntl, struct, time
tun = open("/dev/net/tun", "r+b", buffering=0)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))
time.sleep(60)' &
    timeout 9 sh -c "until ip -n net$n link set tun0 up; do sleep 0.1; done" 2>/dev/null
    ip -n net$n address add 192.168.1.${pair#*:}/24 dev tun0
done
